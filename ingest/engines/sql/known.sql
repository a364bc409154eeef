-- Rows whose image is already in an existing corpus.
SELECT facts.row_id, facts.part, facts.key
FROM facts
INNER JOIN (SELECT DISTINCT key FROM existing) AS held ON held.key = facts.key
WHERE facts.reason IS NULL
