-- Placeholders by the number of their URLs alone. What an existing corpus has stays there.
SELECT crowds.keeper
FROM crowds
LEFT JOIN known ON known.row_id = crowds.keeper
WHERE crowds.urls >= $urls AND known.row_id IS NULL
