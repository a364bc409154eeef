-- The images with the most URLs among those below the placeholder limit, or in an existing corpus.
SELECT crowds.keeper, crowds.key, crowds.urls, COUNT(known.row_id) AS known
FROM crowds
LEFT JOIN known ON known.row_id = crowds.keeper
WHERE crowds.urls < $urls OR known.row_id IS NOT NULL
GROUP BY crowds.keeper, crowds.key, crowds.urls
ORDER BY crowds.urls DESC, crowds.keeper, crowds.key
LIMIT $most
