"""Forecasts what a corpus requires of a cluster: `tagmill corpus plan`."""
