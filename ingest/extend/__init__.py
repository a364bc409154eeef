"""Extends a corpus: what a run takes over from its base, and the generation that it adds.

Used from outside: base_corpus, generation, known_in_tasks.
"""
