-- Held-out rows: the first of the kept rows by an order that depends only on seed and image.
SELECT facts.row_id, facts.part
FROM facts
LEFT JOIN dropped ON dropped.row_id = facts.row_id
WHERE facts.reason IS NULL AND dropped.row_id IS NULL
ORDER BY facts.holdout_order, facts.key
LIMIT $holdout
