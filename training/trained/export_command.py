"""`tagmill train export`: a trained model as a folder for timm, Hugging Face and `tagmill predict`."""

from collections.abc import Sequence
from dataclasses import dataclass

import tyro
from rich.console import Console

from tagmill.shards import ConfigError
from tagmill.shards.settings.options import CommandLine
from tagmill.training.trained.folder import write_folder
from tagmill.training.trained.run_folder import Which
from tagmill.training.trained.source import read_trained


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is exported, and where to."""

    source: tyro.conf.Positional[str]
    """Output of a run, or one of its checkpoints."""
    output: str
    """Folder or bucket prefix for model.safetensors, config.json and labels.json."""
    weights: Which = "auto"
    """ema: the average of the weights; model: the weights themselves; auto: the average if the run has one."""
    step: str = "auto"
    """Checkpoint of a run: auto for the newest, best for the best by held-out accuracy, or its step."""


EXPORT_COMMAND = CommandLine(
    "tagmill train export", "Export a trained model to a folder that timm and `tagmill predict` load.", (ExportOptions,)
)


def export_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill train export` command line."""
    (chosen,) = EXPORT_COMMAND.parse(arguments)
    if not (chosen.step in ("auto", "best") or chosen.step.isdecimal()):
        raise ConfigError(f"step = {chosen.step!r}", "export", "give auto, best or a step")
    trained = read_trained(chosen.source, chosen.weights, chosen.step)
    write_folder(trained, chosen.output)
    labels = "outputs without names" if trained.labels is None else f"{len(trained.labels):,} labels"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"exported   {trained.where} ({trained.network}, {labels}) to {chosen.output}", markup=False)
    console.print(f"use        tagmill predict {chosen.output} IMAGE", markup=False)
