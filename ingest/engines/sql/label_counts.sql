-- Rows of a table of labels: all, and those without a sample, without a label of the vocabulary, or repeated.
SELECT
    CAST(SUM(CAST(copies AS BIGINT)) AS BIGINT) AS total,
    CAST(SUM(CAST(CASE WHEN fault = 1 THEN copies ELSE 0 END AS BIGINT)) AS BIGINT) AS unknown_keys,
    CAST(SUM(CAST(CASE WHEN fault = 2 THEN copies ELSE 0 END AS BIGINT)) AS BIGINT) AS unknown_labels,
    CAST(SUM(CAST(CASE WHEN fault = 0 THEN copies - 1 ELSE 0 END AS BIGINT)) AS BIGINT) AS repeated
FROM (
    SELECT
        label_pairs.copies,
        CASE
            WHEN sample_locations.key IS NULL THEN 1
            WHEN label_pairs.label IS NULL OR label_pairs.label < 0 OR label_pairs.label > $last THEN 2
            ELSE 0
        END AS fault
    FROM label_pairs
    LEFT JOIN sample_locations ON sample_locations.key = label_pairs.key
) AS judged
