-- The remaining images, each once, and those of an existing corpus.
SELECT
    facts.row_id, 0 AS existing,
    CAST(facts.original_width AS BIGINT) * CAST(facts.original_height AS BIGINT) AS pixels,
    facts.pdq0, facts.pdq1, facts.pdq2, facts.pdq3, COALESCE(facts.pdq_quality, 100) AS pdq_quality
FROM facts
LEFT JOIN removed ON removed.row_id = facts.row_id
WHERE
    facts.reason IS NULL AND removed.row_id IS NULL
    AND facts.pdq0 IS NOT NULL AND facts.pdq1 IS NOT NULL AND facts.pdq2 IS NOT NULL AND facts.pdq3 IS NOT NULL
UNION ALL
SELECT row_id, 1 AS existing, pixels, pdq0, pdq1, pdq2, pdq3, COALESCE(pdq_quality, 100) AS pdq_quality
FROM existing
WHERE pdq0 IS NOT NULL AND pdq1 IS NOT NULL AND pdq2 IS NOT NULL AND pdq3 IS NOT NULL
