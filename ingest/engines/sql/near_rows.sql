-- Rows that have a near duplicate.
SELECT row_a AS row_id FROM edges
UNION
SELECT row_b AS row_id FROM edges
UNION
SELECT row_id FROM alike
UNION
SELECT head AS row_id FROM alike
