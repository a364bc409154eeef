"""A corpus for other tools: exports to other formats, and descriptions that catalogues read.

Used from outside: card_command, descriptions, export_command, records.
"""
