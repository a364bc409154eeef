-- The distinct pairs of a table of labels, with the number of rows of each.
SELECT key, label, COUNT(*) AS copies
FROM label_rows
GROUP BY key, label
