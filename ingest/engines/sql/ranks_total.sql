-- How many rows have a near duplicate.
SELECT COUNT(*) AS total FROM ranks
