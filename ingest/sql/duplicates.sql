-- How many rejects bring tags to a sample.
SELECT COUNT(*) AS total
FROM rejects
WHERE reason = 'duplicate' AND CARDINALITY(tags) > 0
