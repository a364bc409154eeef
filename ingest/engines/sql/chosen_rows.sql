-- Images above the cut-off of a class, and those at it up to a key; the label is that of the view.
SELECT scored.key, CAST(cutoffs.chosen AS BIGINT) AS label, scored.score
FROM scored
INNER JOIN cutoffs ON cutoffs.label = scored.label
ANTI JOIN left_out ON left_out.key = scored.key
WHERE scored.score > cutoffs.score OR (scored.score = cutoffs.score AND scored.key <= cutoffs.last_key)
