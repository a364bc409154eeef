-- Rows that gave a picture, each with the row that its exact group keeps: the largest picture, then the earliest row.
-- Groups are made by key, which is the first half of the sha256 of the source bytes, so that keys are unique in a corpus.
SELECT
    row_id, part, place, key, sample_bytes, holdout_order,
    FIRST_VALUE(row_id) OVER (PARTITION BY key ORDER BY pixels DESC, row_id) AS keeper
FROM (
    SELECT
        row_id, part, place, key, sample_bytes, holdout_order,
        CAST(original_width AS BIGINT) * CAST(original_height AS BIGINT) AS pixels
    FROM facts
    WHERE reason IS NULL
) AS pictures
