-- Training pictures by token and label.
SELECT token, label, COUNT(*) AS images
FROM carried
WHERE split = 'train'
GROUP BY token, label
