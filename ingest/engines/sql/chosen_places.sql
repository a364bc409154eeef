-- Chosen images at places of their class, best first, and where their samples are.
SELECT ranked.label, ranked.place, ranked.key, ranked.score, sample_locations.shard, sample_locations.ordinal
FROM (
    SELECT
        key, label, score,
        CAST(ROW_NUMBER() OVER (PARTITION BY label ORDER BY score DESC, key) AS BIGINT) AS place
    FROM label_rows
) AS ranked
INNER JOIN places ON places.label = ranked.label AND places.place = ranked.place
INNER JOIN sample_locations ON sample_locations.key = ranked.key
ORDER BY ranked.label, ranked.place
