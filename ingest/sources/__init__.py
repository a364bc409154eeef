"""Reads lists, tars and folders of images as rows: URL or byte range, tags, and extra columns.

Used from outside: decompress, input_warnings, inputs, list_part, locations, pieces, rows, samples, stored/tar, tables.
"""
