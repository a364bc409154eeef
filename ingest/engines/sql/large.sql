-- Exact groups so large that they may be a placeholder.
SELECT keeper
FROM exact
GROUP BY keeper
HAVING COUNT(*) >= $urls
