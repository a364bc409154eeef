"""Corpora that grow: what an extension takes over from its base, and what one generation wrote.

Used from outside: base_corpus, generation.
"""
