-- Pairs of near duplicates by rank, each once, in the order in which they are decided. Samples of an existing corpus are kept.
SELECT better, worse, distance
FROM (
    SELECT DISTINCT LEAST(a.rank, b.rank) AS better, GREATEST(a.rank, b.rank) AS worse, edges.distance
    FROM edges
    INNER JOIN heads AS a ON a.head = edges.row_a
    INNER JOIN heads AS b ON b.head = edges.row_b
) AS pairs
WHERE worse > $existing
ORDER BY better, worse
