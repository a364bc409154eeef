-- A table of labels by their names, with ids instead; -1 where no label has the name.
SELECT named_rows.key, COALESCE(label_names.label, -1) AS label
FROM named_rows
LEFT JOIN label_names ON label_names.name = named_rows.name
