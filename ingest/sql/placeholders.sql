-- Placeholders: pictures that came back for very many different URLs. One URL may be on several rows.
SELECT exact.keeper
FROM exact
INNER JOIN large ON large.keeper = exact.keeper
INNER JOIN facts ON facts.row_id = exact.row_id
GROUP BY exact.keeper
HAVING COUNT(DISTINCT facts.url) >= $urls
