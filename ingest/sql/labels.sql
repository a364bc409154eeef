-- The samples in corpus order, held-out ones last, a line for each label id, ascending; a sample without has one line.
SELECT samples.part, samples.place, found.id
FROM (SELECT part, place, split FROM selection WHERE split IS NOT NULL) AS samples
LEFT JOIN (
    SELECT DISTINCT carried.part, carried.place, vocabulary.id
    FROM carried
    INNER JOIN vocabulary ON vocabulary.label = carried.label
) AS found ON found.part = samples.part AND found.place = samples.place
ORDER BY samples.split DESC, samples.part, samples.place, found.id
