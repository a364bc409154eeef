-- How many rejects, exact and near duplicates, bring tags to a sample.
SELECT COUNT(*) AS total
FROM rejects
WHERE reason IN ('duplicate', 'near_duplicate') AND CARDINALITY(tags) > 0
