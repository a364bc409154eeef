"""A progress that keeps what is reported to it."""

from collections import Counter

from tagmill.shards.progress.protocol import Silent


class Recorded(Silent):
    """`stages` in order; rows and outcomes by the name of their stage."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []
        self.done: Counter[str] = Counter()
        self.outcomes: dict[str, Counter[str]] = {}

    def stage(self, name: str, total: int | None = None) -> None:
        self.stages.append((name, total))

    def advance(self, n: int, **counts: int) -> None:
        name = self.stages[-1][0]
        self.done[name] += n
        self.outcomes.setdefault(name, Counter()).update(counts)
