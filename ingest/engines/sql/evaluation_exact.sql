-- Pictures that have the very bytes of an evaluation picture, each exact group once.
SELECT facts.row_id, exactly.entry
FROM facts
INNER JOIN exactly ON exactly.key = facts.key
LEFT JOIN removed ON removed.row_id = facts.row_id
WHERE facts.reason IS NULL AND removed.row_id IS NULL
