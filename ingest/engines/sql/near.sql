-- Rows that are dropped as near duplicates, with the key of the image that replaces each.
SELECT ranks.row_id, ranks.part, target.key AS yields_to
FROM ranks
LEFT JOIN alike ON alike.row_id = ranks.row_id
INNER JOIN heads ON heads.head = COALESCE(alike.head, ranks.row_id)
LEFT JOIN yielded ON yielded.rank = heads.rank
INNER JOIN ranks AS target ON target.rank = COALESCE(yielded.to_rank, heads.rank)
WHERE ranks.existing = 0 AND target.rank <> ranks.rank
