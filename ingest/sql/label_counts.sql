-- Training pictures by label: one that came by two tokens is one.
SELECT label, COUNT(*) AS images
FROM (SELECT DISTINCT part, place, label FROM carried WHERE split = 'train') AS pictures
GROUP BY label
