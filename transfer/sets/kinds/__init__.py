"""Readers of each kind of labelled set; `sets/open_set.py` chooses one of them."""
