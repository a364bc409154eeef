-- The last key of each class that is chosen among images of one score, the lowest that is chosen: the first `room` by key.
SELECT tied.label, MAX(tied.key) AS last_key
FROM (
    SELECT
        scored.label, scored.key, lowest.room,
        CAST(ROW_NUMBER() OVER (PARTITION BY scored.label ORDER BY scored.key) AS BIGINT) AS place
    FROM scored
    INNER JOIN lowest ON lowest.label = scored.label AND lowest.score = scored.score
    ANTI JOIN left_out ON left_out.key = scored.key
) AS tied
WHERE tied.place <= tied.room
GROUP BY tied.label
