"""Metrics for Weights & Biases."""

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tagmill.shards import Store, TagmillError
from tagmill.training.metrics.flat import flat

IDENTITY = "wandb.json"
"""The object of the output that has the id of the run, by which a resumed run continues the same curves."""


class WandbWriter:
    """A run of a project. WANDB_MODE, WANDB_API_KEY and the like are read from the environment: with WANDB_MODE=offline
    nothing is sent."""

    def __init__(self, project: str, store: Store, *, fresh: bool, said: Mapping[str, Any]) -> None:
        """Begins a run, or continues the one that the output names unless `fresh`. Raises TagmillError if the service
        refuses it."""
        import wandb

        run = None if fresh else _known(store, project)
        run = run or uuid.uuid4().hex[:8]
        where = {} if store.root is None else {"dir": str(store.root)}
        settings = wandb.Settings(console="off", silent=True)
        try:
            self._run: Any = wandb.init(
                project=project, id=run, resume="allow", config=dict(said), settings=settings, **where
            )
        except wandb.errors.Error as error:
            remedy = "check WANDB_API_KEY, set WANDB_MODE=offline, or leave --wandb out"
            raise TagmillError(f"Weights & Biases: {error}", project, remedy) from error
        store.put(IDENTITY, json.dumps({"project": project, "id": run}).encode())
        # A resumed run repeats steps, which W&B's own counter does not allow.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def add(self, kind: str, line: Mapping[str, Any]) -> None:
        """Adds the numbers of a line."""
        self._run.log({"step": line["step"], **dict(flat(line, kind))})

    def flush(self) -> None:
        """Does nothing: a process of wandb sends the lines."""

    def close(self, kind: type[BaseException] | None = None, *error: object) -> None:
        """Ends the run, as failed if an exception is given, and waits until its lines are sent."""
        self._run.finish(exit_code=int(kind is not None))


def _known(store: Store, project: str) -> str | None:
    """Returns the id of the output's run in a project."""
    with suppress(FileNotFoundError, ValueError, LookupError, TypeError):
        saved = json.loads(store.read(IDENTITY))
        return saved["id"] if saved["project"] == project and isinstance(saved["id"], str) else None
    return None
