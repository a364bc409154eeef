"""What commands print: text that is safe for a terminal. Used from outside: safe_text."""
