"""A takedown whose process kills itself at the put of a name, before it or after it."""

import os
import signal
from datetime import UTC, datetime
from typing import Any

from tagmill.ingest.takedown.takedown_command import TakedownConfig, take_down
from tagmill.shards.storage.store import Store

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def main(corpus: str, hosts: str, when: str, pattern: str) -> None:
    put = Store.put

    def dying(self: Store, name: str, source: Any) -> None:
        if pattern not in name or when == "after":
            put(self, name, source)
        if pattern in name:
            os.kill(os.getpid(), signal.SIGKILL)

    Store.put = dying  # type: ignore[method-assign, assignment]
    take_down(TakedownConfig(corpus=corpus, hosts=hosts, purge=True), AT)
