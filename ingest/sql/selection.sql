-- What becomes of every row: it has either a split or a reason; a duplicate also has the key that it yields to,
-- be it one by its picture, or by its URL, before it was fetched.
SELECT row_id, part, place, key, sample_bytes, split, reason, yields_to
FROM (
    SELECT
        ranked.row_id, ranked.part, ranked.place, ranked.key, ranked.sample_bytes,
        CASE
            WHEN ranked.keeper <> ranked.row_id THEN NULL
            WHEN heldout.row_id IS NULL THEN 'train'
            ELSE 'holdout'
        END AS split,
        CASE WHEN ranked.keeper <> ranked.row_id THEN 'duplicate' END AS reason,
        CASE WHEN ranked.keeper <> ranked.row_id THEN ranked.key END AS yields_to
    FROM ranked
    LEFT JOIN heldout ON heldout.row_id = ranked.row_id
    UNION ALL
    SELECT
        row_id, part, place, CAST(NULL AS VARCHAR) AS key, CAST(NULL AS BIGINT) AS sample_bytes,
        CAST(NULL AS VARCHAR) AS split, reason,
        CASE WHEN reason = 'duplicate' THEN key END AS yields_to
    FROM facts
    WHERE reason IS NOT NULL
) AS fates
ORDER BY part, place
