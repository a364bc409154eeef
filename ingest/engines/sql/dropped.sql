-- Every row with an image that does not become a sample, with its reason. The rows of an exact group get the keeper's reason.
SELECT row_id, reason, yields_to FROM early
UNION ALL
SELECT row_id, 'evaluation' AS reason, CAST(NULL AS VARCHAR) AS yields_to FROM leaked
UNION ALL
SELECT row_id, 'near_duplicate' AS reason, yields_to FROM near
UNION ALL
SELECT
    exact.row_id,
    COALESCE(early.reason, leaks.reason, nears.reason, 'duplicate') AS reason,
    CASE
        WHEN early.reason IS NOT NULL THEN early.yields_to
        WHEN leaks.reason IS NOT NULL THEN NULL
        WHEN nears.reason IS NOT NULL THEN nears.yields_to
        ELSE exact.key
    END AS yields_to
FROM exact
LEFT JOIN early ON early.row_id = exact.keeper
LEFT JOIN (SELECT row_id, 'evaluation' AS reason FROM leaked) AS leaks ON leaks.row_id = exact.keeper
LEFT JOIN (SELECT row_id, 'near_duplicate' AS reason, yields_to FROM near) AS nears ON nears.row_id = exact.keeper
WHERE exact.keeper <> exact.row_id
