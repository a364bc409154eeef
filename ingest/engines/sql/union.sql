-- The tags of duplicates, exact and near, at the sample that they yield to, with the number of rows that wrote each.
SELECT places.shard, places.ordinal, written.tag, COUNT(DISTINCT written.row_id) AS copies
FROM (SELECT row_id, yields_to, UNNEST(tags) AS tag FROM rejects WHERE reason IN ('duplicate', 'near_duplicate')) AS written
INNER JOIN places ON places.key = written.yields_to
WHERE written.tag IS NOT NULL
GROUP BY places.shard, places.ordinal, written.tag
ORDER BY places.shard, places.ordinal, written.tag
