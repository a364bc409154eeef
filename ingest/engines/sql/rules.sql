-- The robots.txt answers of the hosts of each part, in order of parts.
SELECT origins.part, answers.origin, answers.reason, answers.detail, answers.rules, answers.kept, origins.spread AS row_id
FROM origins
INNER JOIN answers ON answers.origin = origins.origin
ORDER BY origins.part, answers.origin
