"""Flags of `tagmill transfer vtab`."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from tagmill.shards.settings.ranges import Between, Count, CountOrZero
from tagmill.transfer.finetune.hyper_rule import RuleSource

VtabProtocol = Literal["linear", "fine-tune"]


@dataclass(frozen=True, kw_only=True)
class VtabOptions:
    """Which model is judged, on which tasks, and how."""

    model: tyro.conf.Positional[str]
    """Exported folder, output of a run, checkpoint, .safetensors file (paths or URLs), or timm:NAME."""
    tasks: tyro.conf.Positional[str]
    """Folder with a folder for each task, such as cifar: with VTAB's lists of images, or any labelled set."""
    output: str
    """Folder or bucket prefix for features, outcomes, vtab.json and vtab.html."""
    protocol: VtabProtocol = "linear"
    """linear: logistic regression on features. fine-tune: all weights, by BiT-HyperRule, as BiT's authors judge on VTAB."""
    network: str | None = None
    """Name of the network in timm, for a .safetensors file that does not say it."""
    resolution: Count | None = None
    """Pixels of a side for features; by default the model's own."""
    rule: RuleSource = "code"
    """Numbers of BiT-HyperRule where the released code and the paper differ."""
    scale: Annotated[float, Between(0, above=True)] = 1.0
    """Factor of the steps of fine-tuning; the report names it."""
    fine_tune_size: Count | None = None
    """Pixels of a side in fine-tuning; by default what the rule says."""
    fine_tune_batch: Count | None = None
    """Images of a step of fine-tuning; by default what the rule says."""
    fine_tune_lr: Annotated[float, Between(0, above=True)] | None = None
    """Peak learning rate of fine-tuning; by default what the rule says."""
    fine_tune_parts: Count = 1
    """Parts in which the images of a step are computed, where they do not fit into memory at once."""
    seed: CountOrZero = 0
    """Seed of fine-tuning: of the order of images and of their crops."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the network; auto is a GPU if there is one."""
    threads: Count | None = None
    """Threads that read and decode; by default the cores of this process."""
