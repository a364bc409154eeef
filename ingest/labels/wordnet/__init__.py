"""The nouns of WordNet 3.0 as a table: squashed forms to synsets, and of each synset its lemmas, kind and hypernyms.

`nouns.npz` holds no glosses. It was made from the files of Debian's package `wordnet-base` by
`python -m tagmill.ingest.labels.wordnet.compile /usr/share/wordnet`, which makes the same bytes again. WordNet is Princeton
University's; its notice in `LICENSE` covers the table and goes wherever the table goes.
"""

from tagmill.ingest.labels.wordnet.table import Table, shipped

__all__ = ["Table", "shipped"]
