-- Every row with an image that does not become a training sample: dropped with its reason, or held out, without one.
SELECT row_id, part, reason, yields_to FROM dropped
UNION ALL
SELECT row_id, part, CAST(NULL AS VARCHAR) AS reason, CAST(NULL AS VARCHAR) AS yields_to FROM heldout
