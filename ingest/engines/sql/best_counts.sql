-- Images by their best score, scores falling.
SELECT score, COUNT(*) AS images
FROM best_scores
GROUP BY score
ORDER BY score DESC
