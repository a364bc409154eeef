"""What the stages of one run share: its config, its output, its executor, and how long each stage took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.executor import Executor
from tagmill.ingest.extend.base_corpus import Base
from tagmill.ingest.progress.host_times import FetchStats
from tagmill.shards.errors import CorpusError
from tagmill.shards.progress.protocol import Progress
from tagmill.shards.storage.store import Store


@dataclass
class RunContext:
    """One run."""

    config: IngestConfig
    store: Store  # the output
    spool: Path  # a local folder, empty at first, deleted after the run
    progress: Progress
    executor: Executor
    base: Base | None = None  # the corpus that is extended
    seconds: dict[str, float] = field(default_factory=dict)  # by stage
    fetched: FetchStats = field(default_factory=FetchStats)
    check_alone: Callable[[], None] = lambda: None  # raises an error where another run has taken the output over

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[None]:
        """Shows a stage of `total` rows (None: unknown) in the progress, and measures it. Raises CorpusError where another
        run has taken the output over."""
        self.check_alone()
        self.progress.stage(name, total)
        begun = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begun

    @property
    def start_over(self) -> str:
        """How to give the run up and begin again, for error messages."""
        return "remove the folder parts there and run it again" if self.base else "remove the output and start over"

    def check_sum(self, found: int, rows: int, what: str) -> None:
        """Raises CorpusError where a stage has not accounted for every row: rows in = samples + rejects."""
        if found != rows:
            remedy = f"nothing was committed: {self.start_over}, and report this"
            raise CorpusError(f"{rows} rows came in, {what} are {found}", self.config.output, remedy)
