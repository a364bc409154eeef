-- Every origin that URLs lead to, once, with the number of its URLs; in an order that puts no two hosts of one owner together.
SELECT origin, spread, CAST(SUM(CAST(urls AS BIGINT)) AS BIGINT) AS urls
FROM origins
GROUP BY origin, spread
ORDER BY spread, origin
