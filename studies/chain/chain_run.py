"""Carries out the stages of a chain: the first seeds with every rate, and the others with the best, stage by stage."""

import statistics
from collections.abc import Mapping, Sequence
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
    rate_seeds: int  # the first ones choose the rate of each stage
    k: int
    processes: int


Found = dict[tuple[Stage, int], RunResult]
"""The run of each stage and seed, with the rate of the stage."""


def carried_out(chain: Chain, stages: Sequence[Stage], seeds: int, told: Told, progress: Progress) -> Found:
    """Returns the result of each stage and seed with the rate of the stage. `stages` are in an order where each is behind those
    that it needs. Raises TagmillError where the training of a network diverged that another stage needs."""
    found = Found()
    left = list(stages)
    first, others = range(min(chain.rate_seeds, seeds)), range(chain.rate_seeds, seeds)
    while left:
        ready = [stage for stage in left if all((each, 0) in found for each in stage.needs)]
        tried = {
            (stage, seed): _tasks(chain, stage, seed, chain.rates, found, progress) for seed in first for stage in ready
        }
        results = _results(chain, tried, told, progress)
        best = {stage: _best_of(chain, [results[stage, seed] for seed in first]) for stage in ready}
        found |= {place: some[chain.rates.index(best[place[0]])] for place, some in results.items()}
        rest = {
            (stage, seed): _tasks(chain, stage, seed, (best[stage],), found, progress)
            for seed in others
            for stage in ready
        }
        found |= {place: some[0] for place, some in _results(chain, rest, told, progress).items()}
        left = [stage for stage in left if stage not in ready]
    return found


def _results(
    chain: Chain, wave: Mapping[tuple[Stage, int], Sequence[RunTask]], told: Told, progress: Progress
) -> dict[tuple[Stage, int], list[RunResult]]:
    """Carries out tasks that do not need each other, and returns their results, in the order of the tasks of each place."""
    tasks = [task for some in wave.values() for task in some]
    if not tasks:
        return {}
    progress.stage("teach: runs", len(tasks))
    results = {each.run: each for each in all_results(tasks, chain.processes, told)}
    return {place: [results[task.run] for task in some] for place, some in wave.items()}


def _best_of(chain: Chain, seeds: Sequence[Sequence[RunResult]]) -> float:
    """Returns the rate of a stage: the best in the mean over seeds, or the first where each rate diverged in a seed."""
    accuracy = dict[float, float | None]()
    for place, rate in enumerate(chain.rates):
        values = [results[place].measures.get("validation_top1") for results in seeds]
        judged = [value for value in values if value is not None]
        accuracy[rate] = statistics.fmean(judged) if len(judged) == len(values) else None
    best = best_rate(accuracy)
    return chain.rates[0] if best is None else best


def _network(chain: Chain, found: Found, stage: Stage, seed: int) -> RunResult:
    result = found[stage, seed]
    if result.failed:
        what = f"stage {stage.name} failed with seed {seed}: {result.failed}"
        raise TagmillError(what, chain.store.url, "give lower rates, or another recipe")
    return result


def _folder(chain: Chain, result: RunResult) -> str:
    return chain.store.within(f"runs/{result.run}/{TRAINING}").url


def _tasks(
    chain: Chain, stage: Stage, seed: int, rates: Sequence[float], found: Found, progress: Progress
) -> list[RunTask]:
    """Returns the runs of a stage with each of the rates, and makes their view first."""
    view = _view(chain, stage, seed, found, progress)
    begun = None if stage.begins is None else _network(chain, found, stage.begins, seed)
    return [_task(chain, stage, seed, rate, view, begun) for rate in rates]


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
