"""What people and programs see of long work while it goes on: drawn on a terminal, as lines of a log, or as JSON.

Used from outside: counts, json_lines, protocol, shown, stderr_handler, stops.
"""
