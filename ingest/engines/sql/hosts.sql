-- Every origin of URLs once, with its number of URLs, in an order that separates hosts of one owner.
SELECT origin, spread, CAST(SUM(CAST(urls AS BIGINT)) AS BIGINT) AS urls
FROM origins
GROUP BY origin, spread
ORDER BY spread, origin
