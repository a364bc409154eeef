"""Keeps forbidden images out: takedown rules and blocklists.

Used from outside: pinned, takedown_rules.
"""
