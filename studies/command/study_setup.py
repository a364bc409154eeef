"""Puts a study together: its arms, views, runs and plan, from the corpus, the recipe and the flags."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from tagmill.shards import ConfigError, Corpus, Store, View
from tagmill.shards.progress.protocol import Progress
from tagmill.studies.command.study_options import Device, StudyOptions
from tagmill.studies.kinds.table import KINDS
from tagmill.studies.plan.arm import Arm
from tagmill.studies.plan.code_version import code_version
from tagmill.studies.plan.plan_file import PLAN_FORMAT
from tagmill.studies.plan.runs_of_arms import config_of_run, images_of, planned_runs
from tagmill.studies.plan.study_kind import LabelFacts, StudyFacts, StudyKind
from tagmill.studies.plan.study_plan import Claim, PlannedRun
from tagmill.studies.plan.study_views import ViewFacts, facts_of, study_view
from tagmill.studies.runs.all_runs import processes_here
from tagmill.studies.runs.clean_probe import ProbeParts, probe_parts
from tagmill.studies.runs.run_folder import TRAINING
from tagmill.studies.runs.run_task import Judging, RunTask, digest_of_run, settings_of
from tagmill.studies.scores.score_files import Scores, open_scores
from tagmill.train import load_recipe
from tagmill.training.config.train import TrainConfig
from tagmill.training.model.build import check_model
from tagmill.transfer.report.report_facts import library_versions


@dataclass(frozen=True)
class StudySetup:
    """A study before its first run."""

    kind: StudyKind
    arms: tuple[Arm, ...]
    views: Mapping[str, ViewFacts]  # by arm
    runs: tuple[PlannedRun, ...]
    tasks: tuple[RunTask, ...]  # of the runs
    claims: tuple[Claim, ...]
    seeds: int
    plan: Mapping[str, Any]
    notes: tuple[str, ...]


def set_up(options: StudyOptions, progress: Progress) -> StudySetup:
    """Reads corpus, recipe and sets, makes the views that are missing, and plans the runs. Raises TagmillError for what
    does not fit together."""
    kind, recipe = KINDS[options.name], recipe_of(options.recipe, options.device)
    corpus = Corpus.open(options.corpus)
    base = facts_of(corpus, options.view)
    scores = open_scores(options.scores) if options.scores else None
    facts = study_facts(options, corpus, base, recipe, scores)
    arms = kind.arms(facts)
    judging = judging_of(options, kind, facts)
    probes, notes = probe_parts(judging)  # before the views: a set that is missing is found at once
    seeds = options.seeds or kind.seeds
    views = {
        arm.name: base if arm.view is None else study_view(options.corpus, options.view, arm.view, progress, scores)
        for arm in arms
    }
    check_views(arms, views, recipe)
    runs = planned_runs(arms, {name: view.name for name, view in views.items()}, seeds, facts.images, recipe)
    configs = [config_of_run(recipe, run, {"corpus": options.corpus}) for run in runs]
    for config in {repr((each.model, each.model_args)): each for each in configs}.values():
        check_model(config)
    judged_by = judged_by_of(base, probes, judging)
    names = [
        digest_of_run(run, config, views[run.arm].digest, judged_by, code_version())
        for run, config in zip(runs, configs, strict=True)
    ]
    tasks = tuple(
        task_of(options, run, name, config, judging, same_head=views[run.arm].classes == base.classes)
        for run, name, config in zip(runs, names, configs, strict=True)
    )
    plan = {
        "format": PLAN_FORMAT,
        "study": kind.name,
        "code": code_version(),
        "versions": library_versions(),
        "corpus": {"manifest": corpus.file.manifest.sha256, "totals": corpus.file.totals},
        "base_view": asdict(base),
        "recipe": settings_of(recipe),
        "images": facts.images,
        "seeds": seeds,
        "judged_by": judged_by,
        "arms": [arm_values(arm, views[arm.name]) for arm in arms],
        "claims": [asdict(claim) for claim in kind.claims(arms)],
        "runs": [{"run": name, **asdict(run)} for run, name in zip(runs, names, strict=True)],
    }
    return StudySetup(kind, arms, views, runs, tasks, kind.claims(arms), seeds, plan, tuple(notes))


def recipe_of(path: str, device: Device | None) -> TrainConfig:
    """Returns the settings that all runs have. On a CPU each run has one thread, so that its result does not depend on how many
    run at the same time. `device`: instead of the recipe's."""
    recipe = load_recipe(path)
    recipe = replace(recipe, device=device or recipe.device)
    return recipe if on_gpu(recipe) else replace(recipe, threads=1)


def on_gpu(recipe: TrainConfig) -> bool:
    """Returns whether networks are trained on a GPU."""
    return recipe.device != "cpu" and torch.cuda.is_available()


def processes_of(options: StudyOptions, recipe: TrainConfig) -> int:
    """Returns how many runs are carried out at the same time."""
    return options.processes or processes_here(gpu=on_gpu(recipe))


def study_facts(
    options: StudyOptions, corpus: Corpus, base: ViewFacts, recipe: TrainConfig, scores: Scores | None = None
) -> StudyFacts:
    """Returns what the arms depend on. Raises ConfigError for a corpus without labels, and without scores where they are
    needed."""
    view = View.open(corpus, options.view)
    train = [line for line in view.shards if line.split == "train"]
    samples = sum(max(line.counts[0] if line.counts else 0, line.fractions) for line in train)
    if not samples or len(view.vocabulary) < 2:
        what = f"view {options.view!r} has {len(view.vocabulary)} labels on {samples:,} training samples"
        raise ConfigError(what, options.corpus, "give a view with two labels or more: tagmill corpus view")
    kind = KINDS[options.name]
    if kind.needs_scores != (options.scores is not None):
        what = f"study {kind.name} {'without scores of a teacher' if kind.needs_scores else 'with --scores'}"
        remedy = "give --scores, the output of tagmill teach score" if kind.needs_scores else "leave it out"
        raise ConfigError(what, "study", remedy)
    labels = tuple(LabelFacts(label.name, label.synsets, label.images) for label in view.vocabulary.labels)
    images = images_of(recipe, samples, options.images)
    return StudyFacts(
        samples, images, recipe.model, options.models, labels, options.scores or "", scores.facts.top if scores else 0
    )


def judging_of(options: StudyOptions, kind: StudyKind, facts: StudyFacts) -> Judging:
    """Returns how the networks are judged."""
    targets = {
        name: tuple((label.name, label.synsets) for label in labels) for name, labels in kind.targets(facts).items()
    }
    return Judging(
        options.corpus,
        options.view,
        options.probe_set,
        options.probe_split,
        options.probe_test_split,
        targets or None,
        kind.training_accuracy,
    )


def judged_by_of(base: ViewFacts, probes: list[ProbeParts], judging: Judging) -> dict[str, Any]:
    """Returns what networks are judged by, as digests and names."""
    return {
        "base_view": base.digest,
        "sets": [{"name": part.name, "digest": part.digest, "both_ways": part.both_ways} for part in probes],
        "targets": {name: [label for label, _ in labels] for name, labels in (judging.targets or {}).items()},
        "training_accuracy": judging.training_accuracy,
    }


def check_views(arms: tuple[Arm, ...], views: Mapping[str, ViewFacts], recipe: TrainConfig) -> None:
    """Raises ConfigError for an arm whose view has no labels, or too few samples for a step."""
    for arm in arms:
        view = views[arm.name]
        if view.labels < 2:
            what = f"view {view.name} of arm {arm.name} has {view.labels} labels"
            raise ConfigError(what, "study", "give a corpus or a --view with more labels")
        if view.epoch < recipe.batch_size:
            what = (
                f"view {view.name} of arm {arm.name} has {view.epoch:,} samples an epoch, fewer than a step of images"
            )
            raise ConfigError(
                what, "study", f"give a larger corpus, or a recipe with a batch_size below {recipe.batch_size}"
            )


def arm_values(arm: Arm, view: ViewFacts) -> dict[str, Any]:
    """Returns an arm as the plan has it."""
    wanted = arm.view
    made = {} if wanted is None else {"changes": dict(wanted.changes), "selection": dict(wanted.selection)}
    labels = {} if wanted is None or not wanted.labels else {"labels_kept": list(wanted.labels)}
    return {
        "name": arm.name,
        "text": arm.text,
        "view": {**asdict(view), **made, **labels},
        "train": dict(arm.train),
        "share_of_images": arm.share,
        "note": arm.note,
    }


def task_of(
    options: StudyOptions, run: PlannedRun, name: str, config: TrainConfig, judging: Judging, *, same_head: bool
) -> RunTask:
    """Returns a run as its process gets it."""
    store = Store(options.output)
    folder = store.within(f"runs/{name}")
    values = asdict(replace(config, output=folder.within(TRAINING).url))
    return RunTask(
        name, run.arm, run.seed, run.images, same_head, values, judging, folder.url, folder.within("features").url
    )
