-- The tag union: by key the tags of the kept row and of all duplicates that yield to it, with the number of rows that
-- carry each; of very many the commonest stay.
SELECT key, tag, copies
FROM (
    SELECT key, tag, copies, ROW_NUMBER() OVER (PARTITION BY key ORDER BY copies DESC, tag) AS turn
    FROM (
        SELECT key, tag, COUNT(DISTINCT row_id) AS copies
        FROM (
            SELECT
                selection.row_id AS row_id,
                COALESCE(selection.yields_to, selection.key) AS key,
                UNNEST(facts.tags) AS tag
            FROM selection
            INNER JOIN facts ON facts.row_id = selection.row_id
            WHERE selection.split IS NOT NULL OR selection.reason = 'duplicate'
        ) AS written
        WHERE tag IS NOT NULL
        GROUP BY key, tag
    ) AS counted
) AS numbered
WHERE turn <= $max_tags
