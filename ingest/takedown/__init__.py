"""Removes samples from a corpus on request.

Used from outside: takedown_command.
"""
