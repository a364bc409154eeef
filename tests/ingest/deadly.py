"""An ingest whose process group kills itself: at a put whose name matches, before it, in its middle or after it."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tagmill.ingest import IngestConfig, ingest
from tagmill.shards.storage.store import Store
from tests.ingest.forked import Ended, ForkedRuns


def run_deadly(runs: ForkedRuns, folder: Path, wanted: IngestConfig, kill: str) -> Ended:
    """Runs an ingest in a process of its own. `kill` is `before:`, `half:` or `after:` with a pattern, or `never:`.

    The rows of the report are printed.
    """
    return runs.run("tests.ingest.deadly:main", repr(wanted), folder=folder, KILL=kill)


def main(wanted: str) -> None:
    """Workers are forked later, so that they are as deadly."""
    when, _, pattern = os.environ["KILL"].partition(":")
    for name in ("put", "put_new"):
        setattr(Store, name, _deadly(getattr(Store, name), when, pattern))
    print(ingest(eval(wanted, {"IngestConfig": IngestConfig})).rows)


def announced(wanted: str) -> None:
    """Runs an ingest that nothing in it kills, after a line that says so."""
    print("begun", flush=True)
    ingest(eval(wanted, {"IngestConfig": IngestConfig}))


def _deadly(method: Callable[..., Any], when: str, pattern: str) -> Callable[..., Any]:
    def call(self: Store, name: str, source: Any, **how: Any) -> Any:
        hit = pattern and re.search(pattern, f"{self.url}/{name}")
        if hit and when == "half":
            data = source if isinstance(source, bytes) else source.read_bytes()
            half = Path(self.url, name).with_name(".cut.0123456789abcdef.spool")
            half.parent.mkdir(parents=True, exist_ok=True)
            half.write_bytes(data[: len(data) // 2])
        done = method(self, name, source, **how) if not hit or when == "after" else None
        if hit:
            os.killpg(0, signal.SIGKILL)
        return done

    return call
