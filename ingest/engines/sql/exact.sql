-- Rows of images that occur more than once, with the row that each exact group keeps: the largest image, then the first row.
-- Groups are formed by key (the first half of the sha256 of the source bytes), so that keys are unique in a corpus.
SELECT
    row_id, part, key,
    FIRST_VALUE(row_id) OVER (PARTITION BY key ORDER BY pixels DESC, row_id) AS keeper
FROM (
    SELECT
        facts.row_id, facts.part, facts.key,
        CAST(facts.original_width AS BIGINT) * CAST(facts.original_height AS BIGINT) AS pixels
    FROM facts
    INNER JOIN repeated ON repeated.holdout_order = facts.holdout_order
    WHERE facts.reason IS NULL
) AS pictures
