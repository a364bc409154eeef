-- Rows of equal hash are one: it has the head's name and the best rank of its rows.
SELECT COALESCE(alike.head, ranks.row_id) AS head, MIN(ranks.rank) AS rank
FROM ranks
LEFT JOIN alike ON alike.row_id = ranks.row_id
GROUP BY COALESCE(alike.head, ranks.row_id)
