-- How many rows a list has.
SELECT COUNT(*) AS total FROM facts
