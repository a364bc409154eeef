-- The tags of some pictures that came back for many URLs, a row for each tag of each row.
SELECT asked.keeper, tagged.url, UNNEST(tagged.tags) AS tag
FROM tagged
INNER JOIN exact ON exact.row_id = tagged.row_id
INNER JOIN asked ON asked.keeper = exact.keeper
