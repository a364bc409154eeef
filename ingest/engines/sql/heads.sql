-- One row per distinct hash: the row that represents it, and the best rank of its rows.
SELECT COALESCE(alike.head, ranks.row_id) AS head, MIN(ranks.rank) AS rank
FROM ranks
LEFT JOIN alike ON alike.row_id = ranks.row_id
GROUP BY COALESCE(alike.head, ranks.row_id)
