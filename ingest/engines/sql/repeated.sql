-- Candidates for exact duplicates: equal bytes have an equal holdout order, a number that is cheap to count.
SELECT holdout_order
FROM facts
WHERE reason IS NULL
GROUP BY holdout_order
HAVING COUNT(*) > 1
