-- Per such image: URLs with a tag, distinct tags, and URLs with the most frequent tag.
SELECT reached.keeper, reached.tagged, spread.tags, spread.commonest
FROM (
    SELECT keeper, COUNT(DISTINCT url) AS tagged
    FROM crowd_rows
    WHERE tag IS NOT NULL
    GROUP BY keeper
) AS reached
INNER JOIN (
    SELECT keeper, COUNT(*) AS tags, MAX(urls) AS commonest
    FROM (
        SELECT keeper, tag, COUNT(DISTINCT url) AS urls
        FROM crowd_rows
        WHERE tag IS NOT NULL
        GROUP BY keeper, tag
    ) AS counted
    GROUP BY keeper
) AS spread ON spread.keeper = reached.keeper
