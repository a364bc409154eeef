"""A short run as every display of progress sees it, and text that tries to harm it."""

import unicodedata
from dataclasses import dataclass

from tagmill.shards.progress.protocol import Progress

HOSTILE = "a\x1b[2J\r\n\x07\x9b31m\u202eb\u2066c\u200b\udc80"


@dataclass(frozen=True)
class Host:
    host: str
    seconds: float
    urls: int

    @property
    def mean(self) -> float:
        return self.seconds / self.urls


@dataclass(frozen=True)
class Fetched:
    size: int
    slowest: tuple[Host, ...]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def use(progress: Progress) -> None:
    progress.advance(1)  # before any stage: ignored
    progress.stage("partition")
    progress.stage("fetch", 100)
    progress.advance(10, ok=7, timeout=2, empty=1)
    progress.fetched(Fetched(5_000_000, (Host("[bold]slow\x1b.example", 8.0, 4), Host("b", 1.0, 1))))
    progress.advance(30, ok=25, empty=5)
    progress.stage("pack", 40)
    progress.advance(40)


def assert_plain(text: str) -> None:
    """No character moves the cursor, changes the direction of writing, or cannot be seen."""
    bad = [char for char in text.replace("\n", "") if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert not bad, bad
