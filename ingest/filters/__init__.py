"""Keeps forbidden images out: takedown rules, blocklists, and images other than those of a list.

Used from outside: blocklist, listed_digests, pinned, takedown_rules.
"""
