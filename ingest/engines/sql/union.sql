-- Tags of exact and near duplicates, at the sample that each duplicates, with the number of rows that have each tag.
SELECT sample_locations.shard, sample_locations.ordinal, written.tag, COUNT(DISTINCT written.row_id) AS copies
FROM (SELECT row_id, yields_to, UNNEST(tags) AS tag FROM rejects WHERE reason IN ('duplicate', 'near_duplicate')) AS written
INNER JOIN sample_locations ON sample_locations.key = written.yields_to
WHERE written.tag IS NOT NULL
GROUP BY sample_locations.shard, sample_locations.ordinal, written.tag
ORDER BY sample_locations.shard, sample_locations.ordinal, written.tag
