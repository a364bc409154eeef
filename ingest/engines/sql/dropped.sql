-- Every row with an image that does not become a sample, with its reason. The rows of an exact group get the keeper's reason.
SELECT row_id, part, reason, yields_to FROM early
UNION ALL
SELECT row_id, part, 'evaluation' AS reason, CAST(NULL AS VARCHAR) AS yields_to FROM leaked
UNION ALL
SELECT row_id, part, 'near_duplicate' AS reason, yields_to FROM near
UNION ALL
SELECT
    copies.row_id, copies.part,
    COALESCE(early.reason, leaks.reason, nears.reason, 'duplicate') AS reason,
    CASE
        WHEN early.reason IS NOT NULL THEN early.yields_to
        WHEN leaks.reason IS NOT NULL THEN NULL
        WHEN nears.reason IS NOT NULL THEN nears.yields_to
        ELSE copies.key
    END AS yields_to
FROM copies
LEFT JOIN early ON early.row_id = copies.keeper
LEFT JOIN (SELECT row_id, 'evaluation' AS reason FROM leaked) AS leaks ON leaks.row_id = copies.keeper
LEFT JOIN (SELECT row_id, 'near_duplicate' AS reason, yields_to FROM near) AS nears ON nears.row_id = copies.keeper
