-- What may come more than once: equal bytes have an equal holdout order, which is a number and cheap to count.
SELECT holdout_order
FROM facts
WHERE reason IS NULL
GROUP BY holdout_order
HAVING COUNT(*) > 1
