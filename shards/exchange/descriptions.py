"""Writes the descriptions of a corpus, `croissant.json` and `README.md`, after a commit.

They are a copy in words of what `corpus.json` says, and no reader of a corpus needs them. So a failure to write them is a
warning, and never the failure of the command that committed.
"""

import logging

from tagmill.shards.errors import TagmillError
from tagmill.shards.exchange.card import CARD, MARK, card
from tagmill.shards.exchange.croissant import CROISSANT, croissant
from tagmill.shards.exchange.facts import corpus_facts
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.store import Store

log = logging.getLogger(__name__)


def write_descriptions(url: str) -> list[str]:
    """Writes the descriptions of the present generation of a corpus, and returns their names. A card whose mark a
    person has removed stays."""
    corpus = Corpus.open(url)
    facts = corpus_facts(corpus)
    written = [CROISSANT]
    corpus.store.put(CROISSANT, croissant(facts))
    if _is_ours(corpus.store):
        corpus.store.put(CARD, card(facts))
        written.append(CARD)
    return written


def describe_commit(url: str) -> None:
    """Writes the descriptions after a commit. A failure is one warning."""
    try:
        write_descriptions(url)
    except (TagmillError, OSError) as error:
        log.warning("the card of the corpus could not be written: %s; tagmill corpus card writes it", error)


def _is_ours(store: Store) -> bool:
    """Whether there is no card, or one with the mark."""
    try:
        return MARK.encode() in store.read(CARD)
    except FileNotFoundError:
        return True
