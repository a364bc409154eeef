-- The last key of the first `room` images by key whose best score is `score`.
SELECT MAX(tied.key) AS last_key
FROM (SELECT key FROM best_scores WHERE score = $score ORDER BY key LIMIT $room) AS tied
