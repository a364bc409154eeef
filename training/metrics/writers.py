"""Where the metrics of a run go: JSON lines always, TensorBoard and Weights & Biases where they are asked for."""

import importlib.util
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from tagmill.shards import ConfigError, Store
from tagmill.training.config.train import TrainConfig
from tagmill.training.metrics.journal import Journal
from tagmill.training.metrics.tensorboard_writer import TensorBoardWriter
from tagmill.training.metrics.wandb_writer import WandbWriter

METRICS, EVALUATIONS = "metrics", "evaluations"
"""The kinds of lines, and the names of their files."""


class Writer(Protocol):
    """A place for lines: plain values by name, which may be nested; "step" is the step that they are of."""

    def add(self, kind: str, line: Mapping[str, Any]) -> None:
        """Adds a line of a kind."""

    def flush(self) -> None:
        """Makes the lines visible that were added."""

    def close(self) -> None:
        """Ends it after the last line."""


class JsonLines:
    """The lines as files of the output, one of each kind."""

    def __init__(self, store: Store, step: int) -> None:
        """Keeps the lines up to `step`."""
        self.journals = {kind: Journal(store, kind, step) for kind in (METRICS, EVALUATIONS)}

    def add(self, kind: str, line: Mapping[str, Any]) -> None:
        """Adds a line. Raises ValueError for a number that JSON does not have."""
        self.journals[kind].add(line)

    def flush(self) -> None:
        """See `Writer`."""
        for journal in self.journals.values():
            journal.flush()

    close = flush


class Writers:
    """All places of a run's lines; none on the processes beside rank 0."""

    def __init__(self, json: JsonLines | None = None, others: Sequence[Writer] = ()) -> None:
        self._json = json
        self._all: list[Writer] = [*([json] if json else []), *others]

    def last_step(self, kind: str) -> int:
        """Returns the step of the last line of a kind, 0 if there is none."""
        return self._json.journals[kind].last if self._json else 0

    def add(self, kind: str, line: Mapping[str, Any]) -> None:
        """Adds a line of a kind. Raises ValueError for a number that JSON does not have."""
        for writer in self._all:
            writer.add(kind, line)

    def flush(self) -> None:
        """Makes the lines visible that were added."""
        for writer in self._all:
            writer.flush()


def check_writers(config: TrainConfig) -> None:
    """Raises ConfigError for a place that this machine does not have, before a corpus is opened."""
    wanted = {"tensorboard": config.tensorboard, "wandb": config.wandb is not None}
    for package in (name for name, is_wanted in wanted.items() if is_wanted):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"--{package} needs the package {package}", "train", f"pip install 'tagmill[{package}]'")
    if config.tensorboard and Store(config.output).root is None:
        what = f"--tensorboard with the output {config.output}: its files grow, and a bucket's cannot"
        raise ConfigError(what, "train", "give a folder as --output, or --wandb PROJECT instead")


def open_writers(config: TrainConfig, store: Store, step: int, said: Mapping[str, Any], stack: ExitStack) -> Writers:
    """Opens the places for the lines of a run that continues from `step`; `stack` closes them. `said`: what is known of the
    run before it begins."""
    json = JsonLines(store, step)
    stack.callback(json.close)
    others: list[Writer] = []
    if config.tensorboard and store.root is not None:
        others.append(TensorBoardWriter(store.root / "tensorboard", step))
        stack.callback(others[-1].close)
    if config.wandb is not None:
        others.append(wandb := WandbWriter(config.wandb, store, fresh=step == 0, said=said))
        stack.push(wandb.close)
    return Writers(json, others)
