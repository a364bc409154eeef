-- The largest number of labels of an image.
SELECT MAX(labels) AS most
FROM (SELECT key, COUNT(*) AS labels FROM label_rows GROUP BY key) AS counted
