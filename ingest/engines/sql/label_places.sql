-- The labels of samples from a table of labels, in corpus order.
SELECT sample_locations.shard, sample_locations.ordinal, CAST(label_pairs.label AS INTEGER) AS label
FROM label_pairs
INNER JOIN sample_locations ON sample_locations.key = label_pairs.key
WHERE label_pairs.label >= 0 AND label_pairs.label <= $last
ORDER BY sample_locations.shard, sample_locations.ordinal, label_pairs.label
