"""Carries out one run: trains, or goes on, and judges the average of the weights."""

from typing import Any

from tagmill.shards import Store, TagmillError
from tagmill.studies.runs.clean_probe import probe_measures, probe_parts
from tagmill.studies.runs.head_accuracy import head_measures, training_measures, validation_measures
from tagmill.studies.runs.run_folder import put_result, trained_so_far
from tagmill.studies.runs.run_result import RunResult
from tagmill.studies.runs.run_task import RunTask
from tagmill.train import train
from tagmill.training.checkpoints.divergence import DivergedError
from tagmill.training.config.train import TrainConfig
from tagmill.training.trained.model import Trained
from tagmill.training.trained.run_folder import read_run


def carry_out(task: RunTask) -> int | None:
    """Trains and judges, and writes the result into the run's folder. A training that diverged has a result that says so.
    Returns the number of the signal that ended the training, with a checkpoint; None at the end. Raises TagmillError for what a
    person can mend."""
    folder, config = Store(task.folder), task.train_config()
    try:
        found = train(config)
    except DivergedError as error:
        why = f"diverged: {error.what}, {error.where}"
        put_result(folder, _result(task, {}, folder, why))
        return None
    if "stopped" in found:
        return int(found["stopped"])
    seen, _ = trained_so_far(folder)
    if seen != task.images:
        what = f"a run saw {seen:,} images, where {task.images:,} are planned"
        raise TagmillError(what, task.folder, "images of the corpus cannot be read: check it with tagmill corpus lint")
    put_result(folder, _result(task, measures_of(task, config), folder, None))
    return None


def measures_of(task: RunTask, config: TrainConfig) -> dict[str, float]:
    """Returns what a trained network is worth."""
    judging = task.judging
    trained = read_run(config.output, "ema")
    view = judging.base_view if task.same_head else config.view
    found = head_measures(trained, config, view)
    if judging.training_accuracy:
        found |= training_measures(trained, config, judging.base_view)
    if judging.validation_view is not None:
        found |= validation_measures(trained, config, judging.validation_view)
    return {**found, **_probed(task, config, trained)} if judging.probes else found


def _probed(task: RunTask, config: TrainConfig, trained: Trained) -> dict[str, float]:
    parts, _ = probe_parts(task.judging)
    targets: Any = task.judging.targets or {}
    return probe_measures(trained, parts, targets, task.features, config.device, config.threads)


def _result(task: RunTask, measured: dict[str, float], folder: Store, failed: str | None) -> RunResult:
    _, seconds = trained_so_far(folder)
    return RunResult(task.arm, task.seed, task.run, task.images, seconds, measured, failed)
