"""Takes samples out of a corpus on request.

Used from outside: takedown_command.
"""
