-- Number of rows that have a near duplicate.
SELECT COUNT(*) AS total FROM ranks
