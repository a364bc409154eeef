-- The rows of exact groups that are not kept, each with the row and the key of its group.
SELECT row_id, part, keeper, key
FROM exact
WHERE keeper <> row_id
