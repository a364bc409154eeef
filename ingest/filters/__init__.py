"""Keeps forbidden images out: takedown rules and blocklists.

Used from outside: blocklist, pinned, takedown_rules.
"""
