-- How many hosts there are, by their hash.
SELECT COUNT(DISTINCT spread) AS hosts
FROM origins
