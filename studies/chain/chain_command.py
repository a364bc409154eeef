"""`tagmill teach run`: carries out teacher and student, and says what was found."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

from tagmill.ingest.sole_run.holding import sole_run
from tagmill.shards import Store
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.terminal.lines import Figure, figure_lines, print_lines
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.studies.chain.arms import ChainArm, chain_arms, chain_claims, stages_of
from tagmill.studies.chain.chain_options import ChainOptions
from tagmill.studies.chain.chain_plan import chain_of, images_seen, plan_of_chain
from tagmill.studies.chain.chain_run import Chain, Found, carried_out, view_name
from tagmill.studies.command.study_command import RESULTS, results_bytes
from tagmill.studies.command.study_ending import ending_lines
from tagmill.studies.command.study_setup import on_gpu, recipe_of
from tagmill.studies.page.study_files import write_study
from tagmill.studies.plan.plan_file import keep_plan
from tagmill.studies.runs.all_runs import Told, processes_here
from tagmill.studies.runs.measure_names import measure_texts
from tagmill.studies.runs.run_result import RunResult
from tagmill.studies.runs.run_task import RunTask
from tagmill.studies.runs.study_result import ArmFacts, StudyResult
from tagmill.studies.verdict.judge import judge_study
from tagmill.transfer.outcome.canonical import canonical_json

CHAIN_COMMAND = CommandLine(
    "tagmill teach run",
    "Train teachers, let them choose images, train students, and judge all of them with several seeds.",
    (ChainOptions, JsonOutput),
    examples=(
        "    tagmill teach run --corpus corpus --labels true.parquet --recipe recipes/study.toml --output out/teach",
        "The same line continues a stopped run: finished stages are kept. --plan-only stops after plan.json.",
    ),
    own_recipe=False,
)
TITLE = "Teacher and student"
LIMITS = ("Networks are judged by their own last layer on held-out samples with true labels, and not by probes.",)


def chain_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill teach run` command line. Raises TagmillError."""
    options, shown = CHAIN_COMMAND.parse(arguments)
    found = teach(options, shown.json)
    if isinstance(found, StudyResult):
        if shown.json:
            sys.stdout.write(canonical_json(asdict(replace(found, plan={})), indent=1).decode())
        else:
            print_lines(ending_lines(found, judge_study(found)))
    elif shown.json:
        sys.stdout.write(canonical_json(found, indent=1).decode())
    else:
        print_lines(chain_plan_lines(found, options.output))


def teach(options: ChainOptions, quiet: bool = True) -> StudyResult | Mapping[str, Any]:
    """Carries out the chain, or goes on with it; with `plan_only`, returns the plan. Raises TagmillError."""
    store, arms = Store(options.output), chain_arms()
    recipe = recipe_of(options.recipe, options.device)
    processes = options.processes or processes_here(gpu=on_gpu(recipe))
    with nullcontext(Silent()) if quiet else progress_shown() as progress, sole_run(store.within("running")):
        chain = chain_of(options, recipe, processes, progress)
        plan = plan_of_chain(chain, arms, options)
        keep_plan(store, plan)
        if options.plan_only:
            return plan
        found = carried_out(chain, stages_of(arms), options.seeds, _told(progress), progress)
        result = chain_result(chain, arms, options, arm_results(chain, arms, options.seeds, found), plan)
        store.put(RESULTS, results_bytes(result.results))
        write_study(store, result)
    return result


def _told(progress: Progress) -> Told:
    def told(task: RunTask, result: RunResult, kept: bool) -> None:
        outcome = "failed" if result.failed else "kept" if kept else "ok"
        progress.advance(1, **{outcome: 1})

    return told


def arm_results(chain: Chain, arms: Sequence[ChainArm], seeds: int, found: Found) -> tuple[RunResult, ...]:
    """Returns the network of each arm and seed: that of its last stage with the rate of this stage."""
    return tuple(
        replace(found[arm.last, seed], arm=arm.name, images=images_seen(chain, arm.last))
        for arm in arms
        for seed in range(seeds)
    )


def chain_result(
    chain: Chain,
    arms: Sequence[ChainArm],
    options: ChainOptions,
    results: tuple[RunResult, ...],
    plan: Mapping[str, Any],
) -> StudyResult:
    """Returns what was found, for the verdict and the page."""
    return StudyResult(
        "teach",
        TITLE,
        arms[0].name,
        options.seeds,
        tuple(_facts(chain, arm) for arm in arms),
        chain_claims(),
        LIMITS,
        (_rates_text(chain, options.seeds),),
        measure_texts(results),
        json.loads(canonical_json(plan)),
        results,
        options.output,
    )


def _rates_text(chain: Chain, seeds: int) -> str:
    tried = min(chain.rate_seeds, seeds)
    by = "every seed" if tried == seeds else "the first seed" if tried == 1 else f"the first {tried} seeds"
    return f"Of {len(chain.rates)} learning rates, a stage has the one that is best on validation samples in {by}."


def _facts(chain: Chain, arm: ChainArm) -> ArmFacts:
    seen = images_seen(chain, arm.last)
    note = "" if seen == chain.images else f"sees {seen // chain.images} times the images of one stage"
    return ArmFacts(arm.name, arm.text, view_name(chain, arm.last), seen, note)


def chain_plan_lines(plan: Mapping[str, Any], output: str) -> list[str]:
    """Returns what is printed of a plan."""
    stages = dict.fromkeys(run["stage"] for run in plan["runs"])
    rates = ", ".join(f"{rate:g}" for rate in plan["rates"])
    return figure_lines(
        [
            Figure("arms", f"{len(plan['arms'])}", f"With {plan['seeds']} seeds each."),
            Figure("stages", f"{len(stages)}", "Trainings of a seed; arms share those that are equal."),
            Figure(
                "runs",
                f"{len(plan['runs']):,}",
                f"Seeds of each stage; {plan['rate_seeds']} with each rate: {rates}.",
            ),
            Figure("images", f"{plan['images']:,}", "Seen in each stage."),
            Figure("K", f"{plan['k']:,}", "Images of each class that a teacher chooses."),
            Figure("plan", safe_text(f"{output.rstrip('/')}/plan.json", 200), "Every run."),
        ]
    )
