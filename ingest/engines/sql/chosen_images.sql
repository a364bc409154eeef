-- How many images have a label.
SELECT COUNT(*) AS images
FROM (SELECT key FROM label_rows GROUP BY key) AS labelled
