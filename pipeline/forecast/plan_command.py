"""`tagmill corpus plan`: forecasts memory, store traffic and shuffle quality of a run before it starts."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import numpy as np
import tyro
from rich.console import Console

from tagmill.pipeline.config import LoaderConfig, World
from tagmill.pipeline.decode.choice.division import divide
from tagmill.pipeline.forecast.gpu_needs import GpuNeeds, gpu_needs
from tagmill.pipeline.forecast.machine_memory import machine_memory
from tagmill.pipeline.forecast.shuffle_quality import ShuffleQuality, measure_shuffle
from tagmill.pipeline.order.epoch_space import EXTRAS, EpochSpace, Span
from tagmill.pipeline.order.plan import Plan, local_batch_size, open_samples
from tagmill.pipeline.read.prefetch import ROW_GAP
from tagmill.pipeline.sizes import largest_side, parse_size
from tagmill.shards.errors import CorpusError
from tagmill.shards.manifest import Corpus
from tagmill.shards.reader import GAP_LIMIT
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Between, Count, check_fields
from tagmill.shards.terminal.advice import given, on_memory
from tagmill.shards.terminal.lines import Figure, figure_lines, print_lines, warning_lines, width_of
from tagmill.shards.view import View

SAMPLED_CHUNKS = 200  # chunks from which the number of requests is estimated
MEGA = 1e6
TAIL_LIMIT = 0.05  # share of an epoch in the tail, above which the forecast says how to lower it


Rate = Annotated[float, Between(0, above=True)]


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The run that is planned."""

    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus."""
    batch_size: Count
    """Images of a batch, all ranks together."""
    world: Count = 1
    """Number of ranks."""
    ranks: Count = 8
    """Number of ranks of a node."""
    images_per_second: Rate = 1000.0
    """Images per second of one rank."""
    view: str | None = "default"
    """View that is read; None is every sample once, without labels."""
    streams: Count | None = None
    """Streams of the shuffle (T); by default 256, or 8 per rank for more than 32 ranks."""
    window: Count = 2
    """Chunks that a stream mixes (w)."""
    chunk: Count = 64
    """Consecutive samples that are fetched together (C)."""
    decode: Literal["gpu", "cpu"] = "gpu"
    """Where images are decoded: gpu transfers encoded images to the GPU, cpu transfers pixels."""
    size: Count | str = 224
    """Side of the images, pixels; of sizes that vary, as 128-320:32, the largest counts."""
    core_ms: Rate | None = None
    """CPU time of an image, milliseconds of one core, as bench/loader.py measures it (CPU s/1,000)."""
    cores: Count | None = None
    """Cores of a rank's loader (LoaderConfig.cores): shows whether DALI, the CPU or both would decode for a GPU."""

    def __post_init__(self) -> None:
        check_fields(self, "plan")
        parse_size(self.size)  # raises ConfigError


PLAN_COMMAND = CommandLine(
    "tagmill corpus plan",
    "Predict memory, requests, cores and shuffle quality of a training run.",
    (Forecast, JsonOutput),
)


@dataclass(frozen=True)
class Needs:
    """The figures of a forecast."""

    samples: int  # turns of the first epoch
    batches: int
    local_batch_size: int
    streams: int
    rank_bytes: int  # limit of open samples, at the corpus's mean size
    node_bytes: int
    tail: float  # share of the epoch outside full blocks: every rank reads some samples of each of its chunks
    requests_per_second: float  # of a node, to the store
    bytes_per_second: float  # of a node, from the store
    epoch_hours: float
    demand: GpuNeeds  # of the machines
    decoder: str | None  # who decodes for a GPU with `cores`, and why; None: not asked
    advice: str
    shuffle: ShuffleQuality


def forecast(asked: Forecast) -> Needs:
    """Computes the forecast. Raises ConfigError and CorpusError for what the loader would refuse."""
    config = LoaderConfig(
        view=asked.view,
        batch_size=asked.batch_size,
        streams=asked.streams,
        window=asked.window,
        chunk=asked.chunk,
    )
    corpus = Corpus.open(asked.corpus, config.cache_folder())
    view = None if asked.view is None else View.open(corpus, asked.view)
    space, world = EpochSpace.of(corpus, view, config.split), World(0, asked.world)
    streams = config.resolve_streams(asked.world)
    digest = view.digest if view else None
    plan = Plan(space, corpus.digest, digest, config.seed, 0, streams, config.window, config.chunk)
    slots = local_batch_size(streams, config.batch_size, world)
    shards = slice(space.shards.start, space.shards.stop)
    mean = corpus.column("bytes")[shards].sum() / max(1, corpus.column("samples")[shards].sum())
    rank_bytes = int(mean * min(open_samples(streams, config.window, config.chunk, world), plan.num_turns))
    if not plan.num_turns:
        raise CorpusError("the first epoch has no samples", corpus.store.url, "choose another view")
    tail = 1 - plan.tail_start / plan.num_turns
    ranks = min(asked.ranks, asked.world)
    rate = ranks * asked.images_per_second
    requests, read = _sample_requests(corpus, view, plan, tail, float(mean), asked.world)
    gpus_need = gpu_needs(
        asked.images_per_second,
        asked.world,
        asked.ranks,
        decode=asked.decode,
        size=largest_side(parse_size(asked.size)),
        core_ms=asked.core_ms,
        mean_bytes=float(mean),
        read=(requests, read),
    )
    return Needs(
        samples=plan.num_turns,
        batches=-(-plan.num_turns // config.batch_size),
        local_batch_size=slots,
        streams=streams,
        rank_bytes=rank_bytes,
        node_bytes=rank_bytes * ranks,
        tail=tail,
        requests_per_second=requests * rate,
        bytes_per_second=read * rate,
        epoch_hours=plan.num_turns / (asked.images_per_second * asked.world) / 3600,
        demand=gpus_need,
        decoder=_decoder(asked.cores, float(mean)),
        advice=_advice(plan, tail, asked.world),
        shuffle=measure_shuffle(plan, corpus.column("samples")[shards], config.batch_size),
    )


def _decoder(cores: int | None, mean_bytes: float) -> str | None:
    if cores is None:
        return None
    division = divide(cores, mean_bytes)
    return f"{division}. {division.why}"


def _sample_requests(
    corpus: Corpus, view: View | None, plan: Plan, tail: float, mean: float, world: int
) -> tuple[float, float]:
    """Returns (requests, bytes) that one sample costs on average, from some chunks of the epoch: whole ones, and in the
    tail one sample in `world` of them."""
    generator, costs = np.random.default_rng(0), list[tuple[float, float, float]]()
    size = plan.chunk
    starts = generator.integers(0, max(1, plan.full_chunks), SAMPLED_CHUNKS) * size
    chunks = [np.arange(start, min(start + size, plan.num_turns)) for start in starts.tolist()]
    parts = [chunk[generator.random(len(chunk)) < 1 / world] for chunk in chunks]
    for weight, groups in ((1 - tail, chunks), (tail, parts)):
        spans = [span for group in groups for span in plan.space.spans_at(0, group)]
        if not spans:  # with that many ranks the draw may be empty: one sample
            spans = plan.space.spans_at(0, chunks[0][:1])
        found = np.array([_cost(corpus, view, span, mean) for span in spans]).sum(axis=0)
        requests, read = (found / sum(map(len, spans))).tolist()
        costs.append((weight, requests, read))
    return sum(weight * requests for weight, requests, _ in costs), sum(weight * read for weight, _, read in costs)


def _cost(corpus: Corpus, view: View | None, span: Span, mean: float) -> tuple[float, float]:
    """Returns (requests, bytes) of one span: images and their facts, or without facts the index, and for a view its
    labels and the ordinals of the run; for extras also their places."""
    samples, length = corpus.entry(span.shard).samples, float(len(span))
    listed, rows, facts = 0, 1, False
    if view is not None:
        line = view.shard(span.shard)
        extra = span.copy == EXTRAS
        run = (line.fraction_sum >> 16) if extra else line.counts[span.copy]
        facts = line.facts
        listed, rows = (2 if extra else int(line.listed and not facts)), (1 if facts else 2)
    else:
        run = samples
    gap = samples / max(1, run) - 1  # samples between two of a run, on average
    reads = 1 if gap * mean <= GAP_LIMIT else length
    passed = (length - 1) * gap if reads == 1 else 0
    return listed + rows * (1 if facts or gap <= ROW_GAP else length) + reads, (length + passed) * mean


def _advice(plan: Plan, tail: float, world: int) -> str:
    if tail <= TAIL_LIMIT or world == 1:
        return ""
    return (
        f"{tail:.0%} of an epoch is read nearly sample by sample, because a block has {plan.block:,} turns and the epoch "
        f"{plan.num_turns:,}: lower streams, window or chunk"
    )


def show(console: Console, needs: Needs) -> None:
    """Prints a forecast: each figure, what it means and what is good."""
    width = width_of(console)
    print_lines(figure_lines([*_demand_figures(needs), *_shuffle_figures(needs.shuffle)], width), console)
    memory = on_memory(needs.node_bytes, machine_memory())
    print_lines(warning_lines(given(needs.advice or None, memory), width), console)


def _demand_figures(needs: Needs) -> list[Figure]:
    gpus_need = needs.demand
    cores = "not measured: give --core-ms"
    if gpus_need.cores is not None:
        cores = f"{gpus_need.cores:,.1f} of a rank, {gpus_need.node_cores:,.1f} of a node"
    tail = f"Share of an epoch read in small pieces; good up to {TAIL_LIMIT:.0%}."
    nodes = f"{gpus_need.store_bytes / MEGA:,.1f} MB, {gpus_need.store_requests:,.1f} requests a second"
    return [
        Figure(
            "epoch",
            f"{needs.samples:,} samples, {needs.batches:,} batches, {needs.epoch_hours:,.2f} hours",
            "At the rate of --images-per-second, without waits.",
        ),
        Figure(
            "streams",
            f"{needs.streams:,}",
            "Places of the corpus that are read at a time (--streams): more mix better.",
        ),
        Figure("slots of a rank's batch", f"{needs.local_batch_size:,}", "Images of a batch for each rank."),
        Figure(
            "open samples of a rank", f"{needs.rank_bytes / MEGA:,.1f} MB", "Memory of encoded images in the shuffle."
        ),
        Figure(
            "open samples of a node", f"{needs.node_bytes / MEGA:,.1f} MB", "The same of its ranks; below its memory."
        ),
        Figure(
            "in no whole block",
            f"{needs.tail:.2%}",
            tail,
        ),
        Figure("requests of a node", f"{needs.requests_per_second:,.1f} a second", "To the store; fewer are better."),
        Figure("read by a node", f"{needs.bytes_per_second / MEGA:,.1f} MB a second", "Below the node's network."),
        Figure("to each GPU", f"{gpus_need.pcie_bytes / MEGA:,.1f} MB a second over PCIe", "Below its PCIe link."),
        Figure("cores that prepare images", cores, "Below the cores that a node has."),
        Figure("who decodes on a GPU", needs.decoder or "not asked: give --cores", "For cores of a rank's loader."),
        Figure("all nodes", f"{gpus_need.nodes:,}: {nodes}", "Below what the store gives."),
    ]


def _shuffle_figures(shuffle: ShuffleQuality) -> list[Figure]:
    chunk = _compared(100 * shuffle.same_chunk, 100 * shuffle.same_chunk_global, "%")
    shard = _compared(100 * shuffle.same_shard, 100 * shuffle.same_shard_global, "%")
    seen = _compared(shuffle.duplicates, shuffle.duplicates_global, "")
    distance = f"{shuffle.neighbour_distance:.2f} of the distance in a global shuffle"
    return [
        Figure("distance of neighbours", distance, "How far apart samples of one place come; 1 is best."),
        Figure("pairs of a batch from a chunk", chunk, "Of images in a batch; near that of a global shuffle is good."),
        Figure("pairs of a batch from a shard", shard, "The same for shards."),
        Figure("slots of a batch seen twice", seen, "Copies of one sample in a batch, where a view repeats it."),
    ]


def _compared(ours: float, theirs: float, unit: str) -> str:
    return f"{ours:.3g}{unit}, {theirs:.3g}{unit} in a global shuffle"


def plan_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus plan` command line."""
    asked, shown = PLAN_COMMAND.parse(arguments)
    needs, console = forecast(asked), Console()
    console.print_json(json.dumps(asdict(needs))) if shown.json else show(console, needs)
