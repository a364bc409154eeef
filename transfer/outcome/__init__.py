"""Outcomes of protocols, and what is computed from them."""
