"""Comparisons: us and the peers in one call, alternating. `make bench`; results that back a claim are in results/."""
