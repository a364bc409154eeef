"""What commands print at their end, and text that is safe for a terminal.

Used from outside: advice, lines, safe_text.
"""
