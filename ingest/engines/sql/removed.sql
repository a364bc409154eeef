-- Rows that need no further comparison.
SELECT row_id FROM exact WHERE keeper <> row_id
UNION ALL
SELECT row_id FROM early
