"""Options of the run itself: where it writes, and with which resources."""

import os
from dataclasses import dataclass, field
from typing import Annotated, Literal

from tagmill.ingest.config.memory import is_size
from tagmill.ingest.config.options import Options
from tagmill.ingest.config.stages import FETCH, LABEL, NO_BYTE
from tagmill.shards.settings.ranges import Between, Count, Share
from tagmill.shards.storage.store import is_local


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Where the run writes, and what it may use."""

    output: str = field(metadata=NO_BYTE)
    """Folder or bucket prefix of the new corpus; with --extend, of an existing one."""
    extend: bool = field(default=False, metadata=FETCH)
    """Add the input to the corpus at the output: new shards, and a new generation of every view. URLs that it has are not
    fetched again; their new tags are added."""
    name: str = field(default="corpus", metadata=LABEL)
    """Name of the corpus."""
    seed: Annotated[int, Between(-(1 << 63), (1 << 63) - 1)] = field(default=0, metadata=FETCH)
    """Seed of the order of samples and of the choice of held-out images."""
    processes: Count = field(default_factory=lambda: os.cpu_count() or 1, metadata=NO_BYTE)
    """Number of worker processes."""
    memory_limit: str = field(default="2GB", metadata=NO_BYTE)
    """Memory for joins and duplicate search, such as 500MB or 2GB; half of it is for the SQL engine. More data is spilled to
    the spool."""
    spool: str | None = field(default=None, metadata=NO_BYTE)
    """Local scratch folder; by default in the system's folder for temporary files."""
    engine: Literal["duckdb", "spark"] = field(default="duckdb", metadata=NO_BYTE)
    """Where joins, parts and packing run: this machine (duckdb) or a Spark cluster. The corpus is the same to the byte."""
    spark_master: str | None = field(default=None, metadata=NO_BYTE)
    """Master URL of Spark; by default that of the current session or spark-submit, else processes of this machine."""
    failure_budget: Share = field(default=1.0, metadata=NO_BYTE)
    """Share of rows that may fail before the run stops."""
    mixed_stack: bool = field(default=False, metadata=NO_BYTE)
    """Continue although other versions of the image libraries made the first images; the corpus records both."""
    keep_parts: bool = field(default=False, metadata=NO_BYTE)
    """Keep the intermediate parts after the corpus is committed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("output", "name"):
            if not getattr(self, name).strip():
                self._refuse(name, "give a name that is not empty")
        if self.output.startswith("hf://"):
            self._refuse("output", "hf:// is for reading only: give a folder or a bucket, and upload it from there")
        if self.spool is not None and not is_local(self.spool):
            self._refuse("spool", "give a local folder")
        if not is_size(self.memory_limit):
            self._refuse("memory_limit", "give a size such as 500MB or 2GB")
