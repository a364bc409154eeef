-- How many rows of a list an existing corpus has already.
SELECT COUNT(*) AS total FROM known
