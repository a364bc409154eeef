-- Of the pictures that their number of URLs alone does not leave out, those with the most; known ones stay.
SELECT crowds.keeper, crowds.key, crowds.urls, COUNT(known.row_id) AS known
FROM crowds
LEFT JOIN known ON known.row_id = crowds.keeper
WHERE crowds.urls < $urls OR known.row_id IS NOT NULL
GROUP BY crowds.keeper, crowds.key, crowds.urls
ORDER BY crowds.urls DESC, crowds.keeper, crowds.key
LIMIT $most
