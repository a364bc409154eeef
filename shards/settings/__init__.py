"""What a user sets: ranges of values, recipes (TOML files) and command-line options, all read from one dataclass.

Used from outside: options, ranges, recipe.
"""
