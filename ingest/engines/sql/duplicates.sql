-- Number of rejected exact and near duplicates that have tags.
SELECT COUNT(*) AS total
FROM rejects
WHERE reason IN ('duplicate', 'near_duplicate') AND CARDINALITY(tags) > 0
