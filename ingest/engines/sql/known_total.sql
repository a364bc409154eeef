-- Number of rows whose image is already in an existing corpus.
SELECT COUNT(*) AS total FROM known
