-- The rows that are held out: of those that are kept the first by an order that depends on seed and picture alone.
SELECT row_id
FROM ranked
WHERE keeper = row_id
ORDER BY holdout_order, key
LIMIT $holdout
