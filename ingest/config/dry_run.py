"""Options of a dry run: an estimate of an ingest in place of the ingest. No corpus depends on them."""

from dataclasses import dataclass
from typing import Annotated

from tagmill.ingest.config.options import Options
from tagmill.shards.settings.ranges import Between

MAX_SAMPLE = 10_000  # rows; more would make intervals no narrower than 1 %, and every pair of images is compared


@dataclass(frozen=True, kw_only=True)
class DryRunOptions(Options):
    """What is estimated in place of a run."""

    dry_run: bool = False
    """Read a part of the input and print what an ingest would do; nothing is written, and no image is requested."""
    sample: Annotated[int, Between(1, MAX_SAMPLE)] | None = None
    """With --dry-run: number of rows, chosen by hash, whose images are fetched and measured, but not kept."""
    rate: Annotated[float, Between(0, above=True)] | None = None
    """With --dry-run: images per second that the hours are computed with; by default that of this machine's cores."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("sample", "rate"):
            if getattr(self, name) is not None and not self.dry_run:
                self._refuse(name, "is for an estimate: add --dry-run")
