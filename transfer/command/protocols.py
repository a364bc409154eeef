"""The protocols of `tagmill transfer`: one table of what each runs, and with which settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tagmill.shards import Store
from tagmill.shards.progress.protocol import Progress
from tagmill.training.trained.model import Trained
from tagmill.transfer.command.ranks import Ranks, one_process
from tagmill.transfer.command.transfer_options import TransferOptions
from tagmill.transfer.features.backbone import open_backbone
from tagmill.transfer.features.extract import Sharing, extract
from tagmill.transfer.finetune.few_shot_tune import few_shot_fine_tune
from tagmill.transfer.finetune.fine_tune import fine_tune
from tagmill.transfer.finetune.options import FineTuneOptions, RecipeName
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.probes.few_shot import few_shot
from tagmill.transfer.probes.knn import KnnSettings, nearest_neighbours
from tagmill.transfer.probes.linear import LinearSettings, linear_probe
from tagmill.transfer.probes.probe_input import ProbeInput
from tagmill.transfer.probes.swag_linear import SWAG_REGNET, SWAG_VIT, swag_linear_probe
from tagmill.transfer.sets.labelled_set import LabelledSet

Settings = Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Bench:
    """A network with the sets that it is judged on. Features are made when a protocol first asks for them."""

    trained: Trained
    train: LabelledSet
    test: LabelledSet
    options: TransferOptions
    shown: Progress
    ranks: Ranks = Ranks()  # noqa: RUF009  # frozen

    @cached_property
    def features(self) -> ProbeInput:
        """Features of both sets. Raises TagmillError where no image is left."""
        options = self.options
        backbone = open_backbone(self.trained, options.resolution, device=options.device)
        kept = Sharing(Store(options.output).within("features"))
        train, test = (
            extract(backbone, each, kept, threads=options.threads, progress=self.shown)
            for each in (self.train, self.test)
        )
        return ProbeInput(self.trained.where, self.test.name, train, test)


@dataclass(frozen=True)
class Protocol:
    """A way to judge a network."""

    variants: Callable[[TransferOptions], list[Settings]]  # one run for each; they are part of an outcome's name
    run: Callable[[Bench, Settings], Outcome]
    several: bool = False  # whether several processes divide its work


def _linear(bench: Bench, settings: Settings) -> Outcome:
    return linear_probe(bench.features, LinearSettings())


def _knn(bench: Bench, settings: Settings) -> Outcome:
    return nearest_neighbours(bench.features, KnnSettings(neighbours=bench.options.neighbours))


def _few_shot(bench: Bench, settings: Settings) -> Outcome:
    shots, seed = int(str(settings["shots"])), int(str(settings["seed"]))
    return few_shot(bench.features, shots, seed, allow_fewer=bench.options.allow_fewer)


def _swag_linear(bench: Bench, settings: Settings) -> Outcome:
    recipe = SWAG_VIT if str(bench.trained.network).startswith(("vit", "deit")) else SWAG_REGNET
    return swag_linear_probe(bench.features, recipe)


def _fine_tune(bench: Bench, settings: Settings) -> Outcome:
    chosen = _tuning(bench.options, settings, bench.options.schedule)
    return fine_tune(bench.trained, bench.train, bench.test, chosen, bench.options.output, bench.shown)


def _few_shot_fine_tune(bench: Bench, settings: Settings) -> Outcome:
    options, shots = bench.options, int(str(settings["shots"]))
    return few_shot_fine_tune(
        bench.trained,
        bench.train,
        bench.test,
        _tuning(options, settings, "bit"),
        shots,
        options.output,
        allow_fewer=options.allow_fewer,
        progress=bench.shown,
    )


def _tuning(options: TransferOptions, settings: Settings, recipe: RecipeName) -> FineTuneOptions:
    return FineTuneOptions(
        recipe=recipe,
        scale=options.scale,
        size=options.fine_tune_size,
        batch_size=options.fine_tune_batch,
        lr=options.fine_tune_lr,
        accumulation=options.fine_tune_parts,
        device=options.device,
        threads=options.threads,
        seed=int(str(settings["seed"])),
    )


def _shots_and_seeds(options: TransferOptions) -> list[Settings]:
    made = [(shots, seed) for shots in options.shots for seed in range(options.seeds)]
    return [{"shots": shots, "seed": seed, "allow_fewer": options.allow_fewer} for shots, seed in made]


def _fine_tunings(options: TransferOptions) -> list[Settings]:
    facts = {"schedule": options.schedule, **_tuning_facts(options)}
    return [{**facts, "seed": seed} for seed in range(options.fine_tune_seeds)]


def _few_shot_fine_tunings(options: TransferOptions) -> list[Settings]:
    return [{**each, **_tuning_facts(options)} for each in _shots_and_seeds(options)]


def _tuning_facts(options: TransferOptions) -> Settings:
    names = ("scale", "fine_tune_size", "fine_tune_batch", "fine_tune_lr", "fine_tune_parts")
    return {name: getattr(options, name) for name in names}


PROTOCOLS: dict[str, Protocol] = {
    "linear": Protocol(lambda options: [{}], _linear),
    "knn": Protocol(lambda options: [{"neighbours": options.neighbours}], _knn),
    "few-shot": Protocol(_shots_and_seeds, _few_shot),
    "swag-linear": Protocol(lambda options: [{}], _swag_linear),
    "fine-tune": Protocol(_fine_tunings, _fine_tune, several=True),
    "few-shot-fine-tune": Protocol(_few_shot_fine_tunings, _few_shot_fine_tune, several=True),
}


def check_processes(names: Sequence[str]) -> None:
    """Raises ConfigError for protocols that one process runs, under torchrun with several."""
    if alone := [name for name in dict.fromkeys(names) if not PROTOCOLS[name].several]:
        one_process(", ".join(alone))
