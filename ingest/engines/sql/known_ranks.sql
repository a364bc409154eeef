-- Number of ranked rows of an existing corpus; they have the first ranks.
SELECT COUNT(*) AS total
FROM ranks
WHERE existing = 1
