"""Runs the demo: draws and serves a small web, fetches it into a corpus, streams it and trains on it; prints one
screen."""

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from tagmill.demo.accounts import accounts
from tagmill.demo.coco import CocoSummary, make_coco
from tagmill.demo.example import example
from tagmill.demo.screen import summary_screen
from tagmill.demo.serve import serve
from tagmill.demo.true_labels import write_true_labels
from tagmill.demo.web import STAMP, make_web, write_rows
from tagmill.ingest import IngestConfig, ingest
from tagmill.pipeline import Loader, LoaderConfig
from tagmill.shards.errors import ConfigError
from tagmill.shards.lint import lint_corpus
from tagmill.shards.manifest import Corpus
from tagmill.shards.progress.shown import progress_shown
from tagmill.train import TrainConfig, load_recipe, train
from tagmill.training.trained.final import FINAL

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "demo.toml"
PORT = 8765  # the same URLs in every run give the same shards; another port is taken if this one is busy


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Size of the demo's web and the steps to run. The defaults take at most six minutes of two cores."""

    output: Path = Path("out/demo")
    rows: int = 3000
    holdout: int = 300
    """Pictures kept from training, on which accuracy is counted."""
    min_count: int = 12
    """Pictures that a noun needs to become a label."""
    zipf: float | None = None
    """Exponent of the concepts' frequencies, 0 to 2: with 1.1 the most frequent has some 40 times the images of the rarest, and
    without it 4 times."""
    seed: int = 0
    processes: int = field(default_factory=lambda: os.cpu_count() or 1)
    epochs: int | None = None
    """Epochs of training; None takes the recipe's."""
    shuffle_labels: bool = False
    """A control: labels are dealt to the wrong pictures, so nothing can be learnt and accuracy stays at chance."""
    coco: bool = False
    """Write a small set in COCO's format to OUTPUT/coco instead, with boxes and masks of the drawn concepts."""
    coco_train: int = 1000
    """Images of the COCO set to train on."""
    coco_val: int = 200
    """Images of the COCO set to evaluate on."""
    coco_side: int = 128
    """Long side of the images of the COCO set, in pixels."""


class Stages:
    """Prints each stage as it begins and records its seconds."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, says: str) -> Iterator[None]:
        self.console.rule(f"[bold]{name}[/bold]  {says}", align="left", style="dim")
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 2)


def free_port(wanted: int) -> int:
    """Returns `wanted` if the port is free, else 0 (any)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted


def check_own(output: Path) -> None:
    """Raises ConfigError if the demo would remove foreign files: a corpus or model without a demo web beside it."""
    for name in ("corpus", "model", "control"):
        if (output / name).exists() and not (output / "web" / STAMP).is_file():
            raise ConfigError(
                "the folder contains files that are not a demo's", output / name, "name an empty or a new one"
            )


def forget(folder: Path) -> None:
    """Removes what an earlier demo left in its output folder."""
    shutil.rmtree(folder, ignore_errors=True)


def loader_rates(corpus: Path, recipe: LoaderConfig, console: Console) -> dict[str, float]:
    """Returns images/s of the training loader without training, by backend, over two epochs."""
    rates: dict[str, float] = {}
    for backend in ("cpu", "dali"):
        with Loader(str(corpus), replace(recipe, backend=backend, epochs=2)) as loader:
            images, start = 0, time.perf_counter()
            for _ in range(2):
                images += sum(batch.count for batch in loader)
            rates[backend] = round(images / (time.perf_counter() - start), 1)
            console.print(f"{backend}: {rates[backend]:,.0f} images/s. {loader.report()}")
    return rates


def run(config: DemoConfig) -> dict[str, Any]:
    """Runs the demo and returns the content of `summary.json` (of the control: `control.json`)."""
    console, out = Console(), config.output
    check_own(out)
    stages = Stages(console)
    with stages.stage("web", f"drawing {config.rows:,} images with the faults of a real web"):
        draw(config, out / "web")
    corpus = out / "corpus"
    forget(corpus)
    says = "fetch, check, resize, deduplicate, canonicalise hashtags, write shards"
    with (
        stages.stage("ingest", says),
        serve(out / "web", port=free_port(PORT)) as base_url,
        progress_shown() as progress,
    ):
        rows = write_rows(out / "web", base_url)
        ingested = ingest(ingest_config(config, rows, corpus), progress)
    with stages.stage("lint", "comparing every byte of every shard with its digests, every row with what was planted"):
        shards = lint(corpus)
        planted, wrong = accounts(out / "web", corpus)
        console.print(f"{shards} shards verified; {len(wrong)} rows differ from the web's truth")
    recipe = training_recipe(config, corpus)
    with stages.stage("loader", "streaming and decoding, without training"):
        rates = loader_rates(corpus, recipe.loader_config(), console)
    with stages.stage("train", f"{recipe.model}, {recipe.epochs} epochs"):
        forget(Path(recipe.output))
        evaluation = train(recipe)
    summary = {
        "rows": ingested.rows,
        "samples": sum(ingested.samples.values()),
        "splits": ingested.samples,
        "rejects": ingested.rejects,
        "duplicates": ingested.duplicates,
        "planted": planted,
        "not_as_planted": wrong,
        "labels": ingested.labels,
        "loader": rates,
        **{name: evaluation[name] for name in ("top1", "top5", "mean_class_accuracy", "majority", "chance")},
        "example": example(corpus, Path(recipe.output, FINAL), out / "unseen.jpg"),
        "seconds": stages.seconds,
    }
    write_true_labels(out / "web", corpus, out)
    left = out / ("control.json" if config.shuffle_labels else "summary.json")
    left.write_text(json.dumps(summary, indent=2) + "\n")
    summary_screen(console, summary, left)
    return summary


def write_coco(config: DemoConfig) -> CocoSummary:
    """Makes the COCO set of the drawn concepts below the output, or finds it there."""
    with progress_shown() as progress:
        found = make_coco(
            config.output / "coco",
            seed=config.seed,
            train=config.coco_train,
            val=config.coco_val,
            side=config.coco_side,
            processes=config.processes,
            progress=progress,
        )
    Console().print(f"{found.train:,} + {found.val:,} images in COCO's format: {found.folder}", highlight=False)
    return found


def training_recipe(config: DemoConfig, corpus: Path) -> TrainConfig:
    """Returns the demo's recipe for this corpus."""
    recipe = load_recipe(RECIPE)
    return replace(
        recipe,
        corpus=str(corpus),
        output=str(config.output / ("control" if config.shuffle_labels else "model")),
        shuffle_labels=config.shuffle_labels,
        epochs=config.epochs or recipe.epochs,
    )


def lint(url: Path) -> int:
    """Compares every byte of a corpus with its digests; returns the number of shards."""
    corpus = Corpus.open(str(url))
    with progress_shown() as progress:
        lint_corpus(corpus, progress)
    return len(corpus.entries)


def draw(config: DemoConfig, web: Path) -> None:
    """Makes the demo's web, or finds it in the folder."""
    with progress_shown() as progress:
        make_web(
            web,
            seed=config.seed,
            rows=config.rows,
            evaluation=max(1, config.rows // 10),
            zipf=config.zipf,
            processes=config.processes,
            progress=progress,
        )


def ingest_config(config: DemoConfig, rows: Path, corpus: Path) -> IngestConfig:
    """Returns a configuration with small parts and shards, so that there are several of each; the demo's web is on
    loopback, which is refused by default."""
    return IngestConfig(
        input=(str(rows),),
        output=str(corpus),
        name="demo",
        seed=config.seed,
        evaluation_set=(f"demo={rows.parent / 'evaluation'}",),
        licence_column="licence",
        page_column="page",
        allow_private=True,
        timeout=4.0,
        retries=1,
        image_size=128,
        holdout=config.holdout,
        min_count=config.min_count,
        rows_per_part=400,
        parts_per_group=2,
        shard_samples=500,
        processes=config.processes,
    )
