"""Decides which rows stay: exact and near duplicates, images of evaluation sets, placeholders, the split.

Used from outside: decontamination, evaluation_pictures, evaluation_sets, existing_samples, group_selection,
near_duplicates, placeholders, resolve, selection.
"""
