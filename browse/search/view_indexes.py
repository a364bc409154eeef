"""Writes the search indexes that the views of a corpus lack, after a commit."""

from tagmill.browse.search.label_index import is_indexed, write_index
from tagmill.browse.search.snapshot import Snapshot
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import Corpus

INDEXED_SHARDS = 2000  # of a corpus that is indexed unasked: the labels of each shard are read, a request or more


def index_views(url: str, most_shards: int = INDEXED_SHARDS) -> list[str]:
    """Writes the index of each view that has none, or one of another generation; returns the names of these views.

    Raises ConfigError for a corpus of more than `most_shards` shards, where that takes long, and CorpusError where labels
    cannot be read.
    """
    snapshot = Snapshot(Corpus.open(url))
    missing = [name for name in snapshot.view_names if not is_indexed(snapshot, name)]
    if missing and snapshot.num_shards > most_shards:
        raise ConfigError(
            f"{snapshot.num_shards:,} shards take long to read", url, "tagmill corpus browse --index reads them"
        )
    for name in missing:
        write_index(snapshot, name)
    return missing
