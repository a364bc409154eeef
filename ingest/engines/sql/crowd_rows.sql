-- Tags of images that many URLs returned, one row per row and tag.
SELECT asked.keeper, tagged.url, UNNEST(tagged.tags) AS tag
FROM tagged
INNER JOIN exact ON exact.row_id = tagged.row_id
INNER JOIN asked ON asked.keeper = exact.keeper
