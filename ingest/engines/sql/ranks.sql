-- Rows with a near duplicate by rank, best first: existing corpus, then original pixels, then least key and row.
SELECT
    row_id, part, existing, key,
    CAST(ROW_NUMBER() OVER (ORDER BY existing DESC, pixels DESC, key, row_id) AS BIGINT) AS rank
FROM (
    SELECT
        facts.row_id, facts.part, 0 AS existing, facts.key,
        CAST(facts.original_width AS BIGINT) * CAST(facts.original_height AS BIGINT) AS pixels
    FROM facts
    INNER JOIN near_rows ON near_rows.row_id = facts.row_id
    UNION ALL
    SELECT existing.row_id, CAST(NULL AS INTEGER) AS part, 1 AS existing, existing.key, existing.pixels
    FROM existing
    INNER JOIN near_rows ON near_rows.row_id = existing.row_id
) AS pictures
