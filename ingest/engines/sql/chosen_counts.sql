-- Chosen images of each class, with their scores' range.
SELECT label, COUNT(*) AS images, MAX(score) AS best, MIN(score) AS last
FROM label_rows
GROUP BY label
ORDER BY label
