"""`tagmill bench`: how fast the loader is on this machine and store, with its bottleneck and what some GPUs would need."""

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table

from tagmill.pipeline.bench.page_cache import cached_share
from tagmill.pipeline.bench.rates import MeasuredRate, MeasuredRound
from tagmill.pipeline.bench.stages import Stages
from tagmill.pipeline.bench.verdict import BackendRates, GpuPlan, plan_for
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode.choice.device import dali_wheel, resolve
from tagmill.pipeline.decode.cpu_affinity import cores_per_rank
from tagmill.pipeline.decode.libjpeg import libjpeg_is_compiled
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import Corpus
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Between, Count, check_fields
from tagmill.shards.terminal.safe_text import safe_text

_Positive = Annotated[float, Between(0, above=True)]
BackendName = Literal["cpu", "pillow", "dali", "both"]
# 1,024 open samples with the loader's window and chunk, and not 32,768: a short measurement shall not read ahead all the time.
FEW_STREAMS = 8
LINE_CELLS = 4000  # columns of a line of text at most


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What is measured."""

    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus."""
    seconds: _Positive = 10.0
    """Seconds of measuring for each backend, over all rounds; warm-ups take as long again at most."""
    rounds: Annotated[int, Between(2, 100)] = 3
    """Rounds, in each of which everything is measured in turn."""
    backend: tuple[BackendName, ...] = ()
    """Decoding backends; without it all that run on the device."""
    device: str = "cpu"
    """Where batches are delivered: cpu, cuda, cuda:N, or auto for a GPU if there is one."""
    output: Literal["uint8", "float32", "bfloat16"] = "uint8"
    """Type of the images; floats are normalised."""
    view: str | None = "default"
    """View that is read; None is every sample once, without labels."""
    batch_size: Count = 256
    """Images of a batch of one GPU."""
    size: Count = 224
    """Side of the images, pixels."""
    threads: Count | None = None
    """Decoding threads; by default as many as this process has cores."""
    gpus: Count | None = None
    """Also predict what that many GPUs need of their machines."""
    ranks: Count = 8
    """GPUs of a node, for --gpus."""
    images_per_second: _Positive = 1000.0
    """Images per second that one GPU trains, for --gpus."""

    def __post_init__(self) -> None:
        check_fields(self, "bench")

    def config(self, backend: str) -> LoaderConfig:
        """Returns the loader's configuration with a backend."""
        return LoaderConfig(
            view=self.view,
            batch_size=self.batch_size,
            streams=FEW_STREAMS,
            size=self.size,
            output=self.output,
            device=self.device,
            threads=self.threads,
            backend=backend,  # type: ignore[arg-type]
        )


BENCH_COMMAND = CommandLine(
    "tagmill bench",
    "Measure the loader on this machine and store, beside reading alone and decoding alone.",
    (Measurement, JsonOutput),
)


@dataclass(frozen=True)
class BenchResult:
    """The figures of a corpus on this machine."""

    corpus: str
    cores: int
    load: (
        float | None
    )  # processes that ran or waited for a core on the machine before the measurement, in a minute's mean
    reads_from: str
    images_read: int
    samples: int  # of the corpus
    reading: MeasuredRate
    backends: dict[str, BackendRates]
    verdicts: dict[str, str]
    not_measured: dict[str, str]  # backends, with the reason
    plan: GpuPlan | None  # with the fastest backend


def measure(asked: Measurement, progress: Progress | None = None) -> BenchResult:
    """Measures in rounds, which `progress` counts. Raises TagmillError if no backend runs, and what the loader raises."""
    names = list(dict.fromkeys(asked.backend)) or backends_of(asked.device)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with Stages(asked.corpus, asked.config(names[0])) as stages:
        reads_from = place_of(stages.corpus)
        reading, backends, missing = _rounds(stages, names, asked.rounds, asked.seconds, progress or Silent())
        if not backends:
            raise ConfigError("; ".join(missing.values()), "bench", "leave out --backend: all that run are measured")
        best = max(backends, key=lambda name: backends[name].whole.images_per_second)
        plan, cores = None, asked.threads or cores_per_rank()
        if asked.gpus is not None:
            decode: Literal["cpu", "gpu"] = "gpu" if best in ("dali", "both") else "cpu"
            cluster = asked.gpus, asked.ranks, asked.images_per_second
            plan = plan_for(stages.config, asked.corpus, backends[best].whole, *cluster, decode)
        return BenchResult(
            corpus=asked.corpus,
            cores=cores,
            load=load,
            reads_from=reads_from,
            images_read=stages.images_read,
            samples=int(stages.corpus.column("samples").sum()),
            reading=reading,
            backends=backends,
            verdicts={name: both.verdict(reading, cores) for name, both in backends.items()},
            not_measured=missing,
            plan=plan,
        )


def _rounds(
    stages: Stages, names: Sequence[str], rounds: int, seconds: float, progress: Progress
) -> tuple[MeasuredRate, dict[str, BackendRates], dict[str, str]]:
    """Returns the rate of reading, those of each backend, and why others were not measured. `seconds`: of each backend."""
    reading: list[MeasuredRound] = []
    decoding: dict[str, list[MeasuredRound]] = {name: [] for name in names}
    whole: dict[str, list[MeasuredRound]] = {name: [] for name in names}
    missing: dict[str, str] = {}
    part = seconds / rounds / 3
    progress.stage("measure", rounds)
    for _ in range(rounds):
        reading.append(stages.reading(part))
        for name in (name for name in names if name not in missing):
            try:
                decoding[name].append(stages.decoding(name, part))
                whole[name].append(stages.whole(name, part))
            except (ConfigError, ImportError) as error:  # of a backend that does not run here
                missing[name] = str(error)
        progress.advance(1)
    rates = {
        name: BackendRates(
            MeasuredRate.of(f"decoding alone, {name}", decoding[name]),
            MeasuredRate.of(f"the loader, {name}", whole[name]),
        )
        for name in names
        if name not in missing
    }
    return MeasuredRate.of("reading alone", reading), rates, missing


def backends_of(device: str) -> list[BackendName]:
    """Returns the backends that are installed and can deliver to a device."""
    found: list[BackendName] = ["cpu"]
    if libjpeg_is_compiled() and find_spec("PIL"):
        found.append("pillow")
    if dali_wheel() is not None:
        found += ["dali"] if resolve(device) == "cpu" else ["dali", "both"]
    return found


def place_of(corpus: Corpus) -> str:
    """Returns where the bytes come from: a remote store, or a disk with how much of the corpus the page cache has."""
    root = corpus.store.root
    if root is None:
        return "a remote store, without a cache on this machine"
    share = cached_share(sorted((root / "shards").rglob("*.tar")))
    if share is None:
        return "a file system that does not say what is in the page cache"
    state = "warm: memory, and not the disk" if share > 0.9 else "cold: the disk" if share < 0.1 else "partly warm"
    return f"a file system, {share:.0%} of the bytes in the page cache at the beginning ({state})"


def show_bench(console: Console, found: BenchResult) -> None:
    """Prints the figures as a table, with a sentence for each backend."""
    table = Table("", "images/s", "slowest to fastest round", "MB/s", "CPU ms/image", box=None)
    for rate in (
        found.reading,
        *(rate for both in found.backends.values() for rate in (both.decoding, both.whole)),
    ):
        table.add_row(
            rate.name,
            f"{rate.images_per_second:,.0f}",
            f"{rate.slowest:,.0f} to {rate.fastest:,.0f}",
            f"{rate.bytes_per_second / 1e6:,.1f}",
            f"{rate.cpu_ms:.3f}",
        )
    console.print(table)
    again = found.images_read / max(1, found.samples)
    lines = [f"store: {found.reads_from}"]
    if again > 1:
        lines.append(f"the corpus was read {again:,.1f} times: after the first time from the page cache, if it fits")
    if found.load is not None and found.load > 0.25 * found.cores:
        lines.append(f"this machine was busy before: load {found.load:,.1f} on {found.cores} cores")
    lines += [f"{name}: {text}" for name, text in found.verdicts.items()]
    lines += [f"{name}: not measured: {reason}" for name, reason in found.not_measured.items()]
    if found.plan is not None:
        lines.append(found.plan.text())
    for line in lines:
        console.print(safe_text(line, LINE_CELLS), markup=False, soft_wrap=not console.is_terminal, highlight=False)


def bench_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill bench` command line."""
    asked, shown = BENCH_COMMAND.parse(arguments)
    with nullcontext(Silent()) if shown.json else progress_shown() as progress:
        found = measure(asked, progress)
    console = Console()
    console.print_json(json.dumps(asdict(found))) if shown.json else show_bench(console, found)
