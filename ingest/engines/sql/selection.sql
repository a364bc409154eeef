-- The outcome of every row of some parts: a split or a reason; for a duplicate also the key of the sample that replaces it,
-- whether found by its image or, before the fetch, by its URL.
SELECT
    facts.row_id, facts.part, facts.place,
    CASE WHEN facts.reason IS NULL THEN facts.key END AS key,
    facts.sample_bytes,
    CASE
        WHEN facts.reason IS NOT NULL OR dropped.row_id IS NOT NULL THEN NULL
        WHEN heldout.row_id IS NULL THEN 'train'
        ELSE 'holdout'
    END AS split,
    COALESCE(facts.reason, dropped.reason) AS reason,
    CASE WHEN facts.reason = 'duplicate' THEN facts.key ELSE dropped.yields_to END AS yields_to
FROM facts
LEFT JOIN dropped ON dropped.row_id = facts.row_id
LEFT JOIN heldout ON heldout.row_id = facts.row_id
WHERE facts.part >= $first AND facts.part < $last
ORDER BY facts.part, facts.place
