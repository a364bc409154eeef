"""The nouns of WordNet 3.0 as a table: squashed forms to synsets, and lemmas, kind and hypernyms of each synset.

`nouns.npz` holds no glosses. It was made from the files of Debian's package `wordnet-base` by `python -m
tagmill.ingest.labels.wordnet.compile /usr/share/wordnet`, which reproduces the same bytes. `rarely_nouns.txt` lists nouns
that are rather other words; `compile_rarely.py` made it from the same package. WordNet is Princeton University's; its
notice in `LICENSE` covers both files and must be distributed with them.
"""

from tagmill.ingest.labels.wordnet.table import Table, shipped

__all__ = ["Table", "shipped"]
