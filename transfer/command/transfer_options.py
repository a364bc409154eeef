"""Flags of `tagmill transfer`."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from tagmill.shards.settings.ranges import Between, Count, CountOrZero
from tagmill.transfer.finetune.options import RecipeName

ProtocolName = Literal["linear", "knn", "few-shot", "swag-linear", "fine-tune", "few-shot-fine-tune"]


@dataclass(frozen=True, kw_only=True)
class TransferOptions:
    """Which model is judged, on which set, and how."""

    model: tyro.conf.Positional[str]
    """Exported folder, output of a run, checkpoint, .safetensors file (paths or URLs), or timm:NAME."""
    set: tyro.conf.Positional[str]
    """Set to learn from: class folders, a CSV table, arrays, tars, a published set or a corpus (path, URL or KIND:URL)."""
    output: str
    """Folder or bucket prefix for features, outcomes, report.json and report.html."""
    protocols: tuple[ProtocolName, ...] = ("linear", "knn", "few-shot")
    """Protocols to run, in this order."""
    split: str | None = None
    """Part of the set to learn from, such as train."""
    test: str | None = None
    """Set to judge on; by default the same as SET."""
    test_split: str | None = None
    """Part to judge on, such as val; without --test and this, one image in five of SET is held out."""
    any_label: bool = False
    """Judge test images of several labels too: a prediction is right if it is one of them; imagenet-real always does it."""
    network: str | None = None
    """Name of the network in timm, for a .safetensors file that does not say it."""
    resolution: Count | None = None
    """Pixels of a side for features; by default the model's own."""
    shots: tuple[Count, ...] = (1, 5, 10, 25)
    """Training images of each class in few-shot and few-shot-fine-tune."""
    seeds: Count = 3
    """Draws of images for each number of shots."""
    allow_fewer: bool = False
    """Take all images of a class that has fewer than the shots."""
    neighbours: Count = 20
    """Neighbours of k-NN."""
    random_networks: CountOrZero = 0
    """Random networks of the same architecture to judge beside the model; their batch statistics are set on training images."""
    trained_on: str | None = None
    """Corpus that the model was trained on, CORPUS#VIEW; test images seen in training then also count as errors."""
    evaluation_set: str | None = None
    """Name that the test set has in this corpus, NAME of the corpus's --evaluation-set NAME=PATH."""
    schedule: RecipeName = "bit"
    """Recipe of fine-tune: BiT-HyperRule, Yalniz's 30 epochs, or the same at SWAG's resolutions."""
    scale: Annotated[float, Between(0, above=True)] = 1.0
    """Factor of the steps of fine-tuning; the report names it."""
    fine_tune_size: Count | None = None
    """Pixels of a side in fine-tuning; by default what the recipe says."""
    fine_tune_batch: Count | None = None
    """Images of a step of fine-tuning; by default what the recipe says."""
    fine_tune_lr: Annotated[float, Between(0, above=True)] | None = None
    """Peak learning rate of fine-tuning; by default what the recipe says."""
    fine_tune_parts: Count = 1
    """Parts in which the images of a step are computed, where they do not fit into memory at once."""
    fine_tune_seeds: Count = 1
    """Runs of fine-tune, each with another seed."""
    images: Annotated[int, Between(0, 200)] = 24
    """Errors of each protocol that the page shows as small images; give 0 where images show people."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the network; auto is a GPU if there is one."""
    threads: Count | None = None
    """Threads that read and decode; by default the cores of this process."""
