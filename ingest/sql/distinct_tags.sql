-- Every tag that some sample has, as written, with the number of samples that have it.
SELECT tag, COUNT(*) AS samples
FROM tags
GROUP BY tag
