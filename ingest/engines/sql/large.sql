-- Exact groups that are large enough to be a placeholder.
SELECT keeper
FROM exact
GROUP BY keeper
HAVING COUNT(*) >= $urls
