"""`tagmill study`: plans a study, carries out what is missing of it, and says what was found."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from time import monotonic

from tagmill.ingest.sole_run.holding import sole_run
from tagmill.shards import Store
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.terminal.lines import print_lines
from tagmill.studies.command.study_ending import ending_lines, plan_lines, run_line
from tagmill.studies.command.study_options import StudyOptions
from tagmill.studies.command.study_setup import StudySetup, processes_of, recipe_of, set_up
from tagmill.studies.page.study_files import write_study
from tagmill.studies.plan.plan_file import keep_plan
from tagmill.studies.runs.all_runs import all_results
from tagmill.studies.runs.measure_names import measure_texts
from tagmill.studies.runs.run_result import RunResult
from tagmill.studies.runs.run_task import RunTask
from tagmill.studies.runs.study_result import ArmFacts, StudyResult
from tagmill.studies.verdict.judge import judge_study
from tagmill.transfer.outcome.canonical import canonical_json

STUDY_COMMAND = CommandLine(
    "tagmill study",
    "Repeat a study of the papers on an own corpus: plan, runs with several seeds, and a verdict.",
    (StudyOptions, JsonOutput),
    examples=(
        "    tagmill study noise --corpus corpus --recipe recipes/study.toml --output out/noise",
        "The same line continues a stopped study: finished runs are kept. --plan-only stops after plan.json.",
    ),
    own_recipe=False,
)
RESULTS = "results.json"
"""What all runs measured, in the order of the plan; without times, so that it is the same however often a study was stopped."""


def study_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill study` command line. Raises TagmillError."""
    options, shown = STUDY_COMMAND.parse(arguments)
    found = study(options, shown.json)
    if isinstance(found, StudyResult):
        _print_end(found, shown.json)
    elif shown.json:
        sys.stdout.write(canonical_json(found.plan, indent=1).decode())
    else:
        print_lines(plan_lines(found, options))


def study(options: StudyOptions, quiet: bool = True) -> StudyResult | StudySetup:
    """Makes a study, or goes on with it; with `plan_only`, returns what is planned. Raises TagmillError."""
    store = Store(options.output)
    with nullcontext(Silent()) if quiet else progress_shown() as progress, sole_run(store.within("running")):
        setup = set_up(options, progress)
        keep_plan(store, setup.plan)
        if options.plan_only:
            return setup
        told = _Told(len(setup.tasks), progress)
        results = all_results(setup.tasks, processes_of(options, recipe_of(options.recipe, options.device)), told)
        store.put(RESULTS, results_bytes(results))
        found = result_of(setup, results, options.output)
        write_study(store, found)
    return found


class _Told:
    """Shows each run when it ends, with the time that the rest will take."""

    def __init__(self, runs: int, progress: Progress) -> None:
        self._runs, self._progress = runs, progress
        self._done = self._made = 0
        self._began = monotonic()
        progress.stage("study: runs", runs)

    def __call__(self, task: RunTask, result: RunResult, kept: bool) -> None:
        self._done += 1
        self._made += not kept
        outcome = "failed" if result.failed else "kept" if kept else "ok"
        self._progress.advance(1, **{outcome: 1})
        if not kept and not isinstance(self._progress, Silent):
            left = (monotonic() - self._began) / self._made * (self._runs - self._done)
            sys.stderr.write(f"{run_line(self._done, self._runs, result, left)}\n")


def results_bytes(results: Sequence[RunResult]) -> bytes:
    """Returns the results as JSON: the same for the same results, without seconds."""
    values = [{name: value for name, value in asdict(each).items() if name != "seconds"} for each in results]
    return canonical_json(values, indent=1)


def result_of(setup: StudySetup, results: Sequence[RunResult], folder: str) -> StudyResult:
    """Returns what a study found, for its verdict and its page."""
    kind = setup.kind
    images = {run.arm: run.images for run in setup.runs}
    arms = tuple(
        ArmFacts(arm.name, arm.text, setup.views[arm.name].name, images[arm.name], arm.note) for arm in setup.arms
    )
    return StudyResult(
        kind.name,
        kind.title,
        setup.arms[kind.natural].name,
        setup.seeds,
        arms,
        setup.claims,
        kind.limits,
        setup.notes,
        measure_texts(results),
        json.loads(canonical_json(setup.plan)),
        tuple(results),
        folder,
    )


def _print_end(found: StudyResult, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(canonical_json(asdict(replace(found, plan={})), indent=1).decode())
    else:
        print_lines(ending_lines(found, judge_study(found)))
