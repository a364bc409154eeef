"""What must not come in: takedown rules and blocklists.

Used from outside: pinned, takedown_rules.
"""
