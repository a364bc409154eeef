-- The best score of each image over all classes that can be chosen.
SELECT scored.key, MAX(scored.score) AS score
FROM scored
INNER JOIN cutoffs ON cutoffs.label = scored.label
ANTI JOIN left_out ON left_out.key = scored.key
GROUP BY scored.key
