-- Rows that are dropped before images are compared, one per exact group: already in an existing corpus, or a placeholder.
SELECT known.row_id, known.part, 'duplicate' AS reason, known.key AS yields_to
FROM known
LEFT JOIN exact ON exact.row_id = known.row_id
WHERE exact.row_id IS NULL OR exact.keeper = exact.row_id
UNION ALL
SELECT placeholders.keeper AS row_id, exact.part, 'placeholder' AS reason, CAST(NULL AS VARCHAR) AS yields_to
FROM placeholders
INNER JOIN exact ON exact.row_id = placeholders.keeper
LEFT JOIN known ON known.row_id = placeholders.keeper
WHERE known.row_id IS NULL
