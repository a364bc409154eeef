-- How many of the ranked rows are of an existing corpus; they have the first ranks.
SELECT COUNT(*) AS total
FROM ranks
WHERE existing = 1
