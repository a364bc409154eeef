"""Reads text as people and tools write it: list files, their encodings, and tags in a cell.

Used from outside: encoding, tag_text, text_columns, text_files.
"""
