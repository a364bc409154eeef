"""Comparisons: tagmill and other programs in one call, alternating. `make bench`; results that back a claim are in
results/."""
