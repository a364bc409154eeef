"""The nouns that are hardly ever used as nouns, from the file that `compile_rarely.py` makes."""

import functools
from importlib.resources import files

from tagmill.shards.errors import TagmillError

RARELY_FILE = "rarely_nouns.txt"


@functools.cache
def rarely_nouns() -> frozenset[str]:
    """Returns the squashed forms of nouns of one word that are rather verbs, adjectives or adverbs in a text."""
    try:
        text = files("tagmill.ingest.labels.wordnet").joinpath(RARELY_FILE).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        what = f"the list of rare nouns cannot be read: {error}"
        raise TagmillError(what, RARELY_FILE, "install tagmill again") from error
    return frozenset(text.split())
