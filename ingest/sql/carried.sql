-- Which sample carries which token, and which label that token leads to; both by number, once each.
SELECT DISTINCT samples.part, samples.place, samples.split, matched.token, matched.label
FROM (SELECT key, part, place, split FROM selection WHERE split IS NOT NULL) AS samples
INNER JOIN tags ON tags.key = samples.key
INNER JOIN matched ON matched.tag = tags.tag
