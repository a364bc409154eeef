-- Rows that need no further comparison.
SELECT row_id FROM copies
UNION ALL
SELECT row_id FROM early
