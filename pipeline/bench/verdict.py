"""What the rates say: the bottleneck in a sentence, and what some GPUs need."""

import shlex
from dataclasses import dataclass
from typing import Literal

from tagmill.pipeline.bench.rates import NOISY, MeasuredRate
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.forecast.plan_command import Forecast, forecast

TOGETHER = 0.85  # of the slower part, below which sharing the cores is what limits the whole
WHAT_HELPS = {
    "decoding": "more cores for it, a GPU's decoder, or smaller stored images",
    "reading": "a nearer or faster store, or a cache on this machine (LoaderConfig.cache)",
}


@dataclass(frozen=True)
class BackendRates:
    """The rates with one decoding backend."""

    decoding: MeasuredRate
    whole: MeasuredRate

    def verdict(self, reading: MeasuredRate, cores: int) -> str:
        """Returns the bottleneck in one sentence, or that the rounds differ too much to say."""
        parts = {"reading": reading, "decoding": self.decoding}
        noisy = [rate for rate in (*parts.values(), self.whole) if rate.is_noisy]
        if noisy:
            worst = max(noisy, key=lambda rate: rate.spread)
            return (
                f"too noisy for a conclusion: {worst.name} differs by {worst.spread:.0%} from round to round (over "
                f"{NOISY:.0%}); end other programs, or give a longer --seconds"
            )
        slower, faster = sorted(parts, key=lambda name: parts[name].images_per_second)
        limit = parts[slower]
        together = f"together they make {self.whole.images_per_second:,.0f} images/s"
        other = parts[faster].images_per_second
        rates = f"{slower} alone makes {limit.images_per_second:,.0f} images/s and {faster} alone {other:,.0f}"
        if self.whole.images_per_second < TOGETHER * limit.images_per_second:
            return (
                f"the bottleneck is the {cores} cores, which reading and decoding share: {rates}, {together}, "
                f"at {self.whole.cpu_ms:.2f} ms of a core for each image"
            )
        if not parts[faster].is_above(limit):
            return f"reading and decoding are equally fast: {rates}, {together}"
        return f"the bottleneck is {slower}: {rates}, {together}; what helps is {WHAT_HELPS[slower]}"


@dataclass(frozen=True)
class GpuPlan:
    """What GPUs that train at a rate need of their machines, at the cost that was measured here."""

    gpus: int
    images_per_second: float  # of a GPU
    fed_here: float  # GPUs of this rate that this machine's loader feeds
    nodes: int
    node_cores: float  # of a node, for the loader
    node_bytes: int  # of open samples
    node_bytes_per_second: float  # from the store
    command: str  # that shows all of it

    def text(self) -> str:
        """Returns it in words."""
        return (
            f"{self.gpus:,} GPUs of {self.images_per_second:,.0f} images/s: {self.nodes:,} "
            f"{'node' if self.nodes == 1 else 'nodes'}, and in each {self.node_cores:,.1f} cores like these for the loader, "
            f"{self.node_bytes / 1e9:,.2f} GB for open samples, {self.node_bytes_per_second / 1e6:,.1f} MB/s from the store. "
            f"This machine feeds {self.fed_here:,.1f} of them. All figures: {self.command}"
        )


def plan_for(
    config: LoaderConfig,
    corpus: str,
    whole: MeasuredRate,
    gpus: int,
    ranks: int,
    rate: float,
    decode: Literal["cpu", "gpu"],
) -> GpuPlan:
    """Returns what `gpus` GPUs need, up to `ranks` on a node. Raises ConfigError for what the loader would refuse."""
    batch, core_ms = config.batch_size * gpus, round(whole.cpu_ms, 3)
    asked = Forecast(
        corpus=corpus,
        batch_size=batch,
        world=gpus,
        ranks=ranks,
        images_per_second=rate,
        view=config.view,
        decode=decode,
        size=config.largest_size,
        core_ms=core_ms,
    )
    needs = forecast(asked)
    command = (
        f"tagmill corpus plan {shlex.quote(corpus)} --batch-size {batch} --world {gpus} --ranks {ranks} "
        f"--images-per-second {rate:g} --view {shlex.quote(str(config.view))} "
        f"--decode {decode} --size {config.largest_size} --core-ms {core_ms}"
    )
    return GpuPlan(
        gpus,
        rate,
        whole.images_per_second / rate,
        needs.demand.nodes,
        needs.demand.node_cores or 0.0,
        needs.node_bytes,
        needs.bytes_per_second,
        command,
    )
