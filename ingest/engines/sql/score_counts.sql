-- Images by class and score, without those that may not be chosen; classes in order, scores falling.
SELECT scored.label, scored.score, COUNT(*) AS images
FROM scored
ANTI JOIN left_out ON left_out.key = scored.key
GROUP BY scored.label, scored.score
ORDER BY scored.label, scored.score DESC
