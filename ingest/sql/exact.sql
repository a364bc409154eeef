-- Rows that gave a picture, each with the row that its exact group keeps: one that the corpus has already, then the largest
-- picture, then the earliest row. Groups are made by key, which is the first half of the sha256 of the source bytes, so that
-- keys are unique in a corpus.
SELECT
    pictures.row_id, pictures.part, pictures.place, pictures.key, pictures.sample_bytes, pictures.holdout_order,
    COALESCE(
        existing.row_id,
        FIRST_VALUE(pictures.row_id) OVER (PARTITION BY pictures.key ORDER BY pictures.pixels DESC, pictures.row_id)
    ) AS keeper
FROM (
    SELECT
        row_id, part, place, key, sample_bytes, holdout_order,
        CAST(original_width AS BIGINT) * CAST(original_height AS BIGINT) AS pixels
    FROM facts
    WHERE reason IS NULL
) AS pictures
LEFT JOIN existing ON existing.key = pictures.key
