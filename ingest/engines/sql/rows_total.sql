-- Number of rows.
SELECT COUNT(*) AS total FROM facts
