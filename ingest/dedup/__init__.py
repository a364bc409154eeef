"""Which rows stay: exact and near duplicates, images of evaluation sets, placeholders, the split."""
