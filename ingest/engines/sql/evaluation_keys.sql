-- Keys and parts of images that equal an evaluation image or are near one.
SELECT facts.row_id, facts.part, facts.key
FROM facts
INNER JOIN (SELECT DISTINCT row_id FROM matched) AS met ON met.row_id = facts.row_id
ORDER BY facts.key, facts.row_id
