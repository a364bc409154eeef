"""Metrics for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tagmill.training.metrics.flat import flat


class TensorBoardWriter:
    """Event files in a folder, which `tensorboard --logdir FOLDER` shows."""

    def __init__(self, folder: Path, step: int) -> None:
        """Continues from `step`: TensorBoard shows no numbers of later steps that an earlier process wrote."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def add(self, kind: str, line: Mapping[str, Any]) -> None:
        """Adds the numbers of a line."""
        for name, value in flat(line, kind):
            self._writer.add_scalar(name, value, line["step"])

    def flush(self) -> None:
        """Writes what is in memory."""
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
