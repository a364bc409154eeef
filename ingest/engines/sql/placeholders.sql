-- Placeholders by their number of URLs alone. Samples of an existing corpus are kept.
SELECT crowds.keeper
FROM crowds
LEFT JOIN known ON known.row_id = crowds.keeper
WHERE crowds.urls >= $urls AND known.row_id IS NULL
