-- Images with the same bytes as an evaluation image, one row per exact group.
SELECT facts.row_id, exactly.entry
FROM facts
INNER JOIN exactly ON exactly.key = facts.key
LEFT JOIN removed ON removed.row_id = facts.row_id
WHERE facts.reason IS NULL AND removed.row_id IS NULL
