"""Carries out the stages of a chain: each with every rate and seed, the next one with the network of the best rate."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tagmill.pipeline import World
from tagmill.shards import Corpus, Store, TagmillError
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.progress.protocol import Progress
from tagmill.studies.chain.arms import best_rate
from tagmill.studies.chain.label_views import LabelViews
from tagmill.studies.chain.stage import Selection, Stage
from tagmill.studies.plan.code_version import code_version
from tagmill.studies.plan.runs_of_arms import config_of_run
from tagmill.studies.plan.study_plan import PlannedRun
from tagmill.studies.plan.study_views import ViewFacts, facts_of
from tagmill.studies.runs.all_runs import Told, all_results
from tagmill.studies.runs.run_folder import TRAINING
from tagmill.studies.runs.run_result import RunResult
from tagmill.studies.runs.run_task import Judging, RunTask, digest_of_run
from tagmill.studies.scores.score_files import open_scores
from tagmill.studies.scores.score_run import ScoreRun, ScoreSettings
from tagmill.studies.scores.teacher import TeacherSource, open_teacher
from tagmill.studies.selection.select_options import SelectOptions
from tagmill.studies.selection.selected_view import select
from tagmill.training.config.train import TrainConfig
from tagmill.transfer.outcome.canonical import canonical_json


@dataclass(frozen=True)
class Chain:
    """What all stages have in common."""

    corpus: str
    store: Store  # of the study
    base: ViewFacts  # labels are tags; networks have its classes
    tags: ViewFacts  # the same without validation samples
    labels: LabelViews
    validation_list: str  # file of the keys of validation samples, one a line
    recipe: TrainConfig
    images: int  # of each stage
    rates: tuple[float, ...]
    k: int
    processes: int


Found = dict[tuple[Stage, int], RunResult]
"""The best run of each stage and seed."""


def carried_out(chain: Chain, stages: Sequence[Stage], seeds: int, told: Told, progress: Progress) -> Found:
    """Returns the result of the best rate of each stage and seed. `stages` are in an order where each is behind those that it
    needs. Raises TagmillError where every rate of a stage diverged that another stage needs."""
    found = Found()
    left = list(stages)
    while left:
        ready = [stage for stage in left if all((each, 0) in found for each in stage.needs)]
        wave = {(stage, seed): _tasks(chain, stage, seed, found, progress) for seed in range(seeds) for stage in ready}
        tasks = [task for some in wave.values() for task in some]
        progress.stage("teach: runs", len(tasks))
        results = {each.run: each for each in all_results(tasks, chain.processes, told)}
        for place, some in wave.items():
            found[place] = _best(chain, [results[task.run] for task in some])
        left = [stage for stage in left if stage not in ready]
    return found


def _best(chain: Chain, results: Sequence[RunResult]) -> RunResult:
    accuracy = {rate: each.measures.get("validation_top1") for rate, each in zip(chain.rates, results, strict=True)}
    rate = best_rate(accuracy)
    return results[0 if rate is None else chain.rates.index(rate)]


def _network(chain: Chain, found: Found, stage: Stage, seed: int) -> RunResult:
    result = found[stage, seed]
    if result.failed:
        what = f"every rate of stage {stage.name} failed with seed {seed}: {result.failed}"
        raise TagmillError(what, chain.store.url, "give lower rates, or another recipe")
    return result


def _folder(chain: Chain, result: RunResult) -> str:
    return chain.store.within(f"runs/{result.run}/{TRAINING}").url


def _tasks(chain: Chain, stage: Stage, seed: int, found: Found, progress: Progress) -> list[RunTask]:
    """Returns the runs of a stage with each rate, and makes their view first."""
    view = _view(chain, stage, seed, found, progress)
    begun = None if stage.begins is None else _network(chain, found, stage.begins, seed)
    return [_task(chain, stage, seed, rate, view, begun) for rate in chain.rates]


def _task(chain: Chain, stage: Stage, seed: int, rate: float, view: ViewFacts, begun: RunResult | None) -> RunTask:
    run = PlannedRun(stage.name, seed, view.name, chain.images, {"lr": rate})
    config = config_of_run(chain.recipe, run, {"corpus": chain.corpus})
    labels = chain.labels
    judging = Judging(chain.corpus, labels.true.name, probes=False, validation_view=labels.validation.name)
    judged_by = {"true": labels.true.digest, "validation": labels.validation.digest}
    named = replace(config, init=None if begun is None else begun.run)
    name = digest_of_run(run, named, view.digest, judged_by, code_version())
    folder = chain.store.within(f"runs/{name}")
    init = None if begun is None else _folder(chain, begun)
    values: dict[str, Any] = asdict(replace(config, output=folder.within(TRAINING).url, init=init))
    return RunTask(
        name, stage.name, seed, chain.images, True, values, judging, folder.url, folder.within("features").url
    )


def view_name(chain: Chain, stage: Stage) -> str:
    """Returns the view that a stage learns from, for people: a selection has a view for each teacher's scores."""
    if stage.selection is not None:
        return "another for each teacher"
    return chain.labels.few.name if stage.learns == "labels" else chain.tags.name


def _view(chain: Chain, stage: Stage, seed: int, found: Found, progress: Progress) -> ViewFacts:
    if stage.selection is None:
        return chain.labels.few if stage.learns == "labels" else chain.tags
    teacher = _network(chain, found, stage.selection.teacher, seed)
    return _selected(chain, stage.selection, teacher, seed, progress)


def _selected(chain: Chain, selection: Selection, teacher: RunResult, seed: int, progress: Progress) -> ViewFacts:
    scores = chain.store.within(f"scores/{teacher.run}")
    corpus = Corpus.open(chain.corpus)
    opened = open_teacher(TeacherSource(_folder(chain, teacher), None, chain.recipe.device))
    settings = ScoreSettings(top=min(10, chain.base.labels), processes=chain.processes)
    ScoreRun(opened, corpus, scores, settings, World()).scored(progress)
    asked = {
        "scores": open_scores(scores.url).digest,
        "by": selection.by,
        "k": chain.k,
        "seed": seed,
        "taken_down": corpus.takedown.samples_sha256,
        "tags": chain.tags.digest,
        "validation": chain.labels.validation.digest,
    }
    name = f"teach-chosen-{sha256_hex(canonical_json(asked))[:8]}"
    if name not in corpus.file.views:
        rule: Any = "balanced" if selection.by == "teacher" else "tags"
        select(
            SelectOptions(
                scores=scores.url,
                corpus=chain.corpus,
                view=name,
                k=chain.k,
                rule=rule,
                tags_view=chain.tags.name,
                exclude=chain.validation_list,
                seed=seed,
                processes=1,
            ),
            progress,
        )
    return facts_of(Corpus.open(chain.corpus), name)
