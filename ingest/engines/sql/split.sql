-- The rows that are held out: of those that are kept the first by an order that depends on seed and picture alone.
SELECT facts.row_id
FROM facts
LEFT JOIN dropped ON dropped.row_id = facts.row_id
WHERE facts.reason IS NULL AND dropped.row_id IS NULL
ORDER BY facts.holdout_order, facts.key
LIMIT $holdout
