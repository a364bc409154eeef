-- Images that many different URLs returned. One URL may be on several rows.
SELECT exact.keeper, exact.key, COUNT(DISTINCT facts.url) AS urls
FROM exact
INNER JOIN large ON large.keeper = exact.keeper
INNER JOIN facts ON facts.row_id = exact.row_id
GROUP BY exact.keeper, exact.key
HAVING COUNT(DISTINCT facts.url) >= $urls
