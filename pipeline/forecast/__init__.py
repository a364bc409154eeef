"""Forecasts what a corpus requires of a cluster: `tagmill corpus plan`.

Used from outside: plan_command.
"""
