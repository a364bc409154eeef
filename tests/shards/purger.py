"""Runs purges in another process for tests: takes samples down, and dies at a put."""

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from tagmill.shards.manifest import Corpus
from tagmill.shards.purge import begin_purge, purge_shards, record
from tagmill.shards.storage.store import Store
from tagmill.shards.takedown import SAMPLE, Row

AT = "2026-01-02T03:04:05+00:00"


def take_down(corpus: Corpus, places: list[tuple[str, int]]) -> Corpus:
    """Lists these samples, except those that are listed already."""
    new = [place for place in places if place[1] not in corpus.takedown.ordinals(place[0])]
    rows = [Row(kind=SAMPLE, value="0" * 32, by="key", shard=shard, ordinal=ordinal, at=AT) for shard, ordinal in new]
    return record(corpus, rows) if rows else corpus


def purge(corpus: Corpus, spool: Path) -> Corpus:
    spool.mkdir(exist_ok=True)
    corpus = begin_purge(corpus, AT)
    return purge_shards(corpus, spool, corpus.entries, AT)


def deadly(kill: str) -> None:
    """Makes puts and deletes whose name matches kill this process: `before:`, `half:` or `after:` and a pattern."""
    when, _, pattern = kill.partition(":")
    put, delete = Store.put, Store.delete

    def dying_put(self: Store, name: str, source: bytes | Path, **how: Any) -> None:
        hit = re.search(pattern, name)
        if hit and when == "half":
            data = source if isinstance(source, bytes) else source.read_bytes()
            spool = Path(self.url, name).with_name(".cut.0123456789abcdef.spool")
            spool.parent.mkdir(parents=True, exist_ok=True)
            spool.write_bytes(data[: len(data) // 2])
        if not hit or when == "after":
            put(self, name, source, **how)
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying_delete(self: Store, name: str) -> None:
        if when == "delete" and re.search(pattern, name):
            os.kill(os.getpid(), signal.SIGKILL)
        delete(self, name)

    Store.put, Store.delete = dying_put, dying_delete  # type: ignore[method-assign]


if __name__ == "__main__":
    deadly(sys.argv[4])
    wanted = [(shard, int(ordinal)) for shard, ordinal in (place.split(":") for place in sys.argv[3].split(","))]
    purge(take_down(Corpus.open(sys.argv[1]), wanted), Path(sys.argv[2]))
