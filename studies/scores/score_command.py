"""`tagmill teach score`: a teacher's best labels for every sample of a corpus."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import tyro

from tagmill.pipeline import World
from tagmill.shards import Corpus, Store
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Count
from tagmill.shards.terminal.lines import columns, print_lines, warning_lines
from tagmill.shards.terminal.safe_text import ERROR_CELLS, safe_text
from tagmill.studies.scores.score_files import ScoredSplit, Scores
from tagmill.studies.scores.score_run import ScoreRun, ScoreSettings
from tagmill.studies.scores.teacher import TeacherDevice, TeacherSource, open_teacher


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Which teacher scores which corpus."""

    teacher: tyro.conf.Positional[str]
    """Output of a run, checkpoint, exported folder, .safetensors file (paths or URLs), or timm:NAME."""
    corpus: tyro.conf.Positional[str]
    """Corpus whose samples are scored (path or URL)."""
    output: str
    """Folder or bucket prefix for the scores."""
    top: Count = 10
    """Best labels to keep of each sample."""
    split: ScoredSplit = "train"
    """Samples to score."""
    batch: Count | None = None
    """Images that the teacher gets at a time; by default 8 on a CPU and 128 on a GPU."""
    network: str | None = None
    """Name of the network in timm, for a .safetensors file that does not say it."""
    device: TeacherDevice = "auto"
    """Device of the teacher; auto is a GPU if there is one."""
    threads: Count | None = None
    """Threads of each process that read and decode; by default its share of the cores."""
    processes: Count | None = None
    """Processes on this machine, each with the teacher in memory; by default one for each core, and one with a GPU."""


SCORE_COMMAND = CommandLine(
    "tagmill teach score",
    "Score every sample of a corpus by a teacher, and keep the best labels of each.",
    (ScoreOptions, JsonOutput),
    examples=(
        "The same command goes on after a stop. Several GPUs or machines share the work:",
        "    torchrun --nproc-per-node 8 -m tagmill teach score TEACHER CORPUS --output SCORES",
    ),
)


def score_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill teach score` command line. Raises TagmillError."""
    options, shown = SCORE_COMMAND.parse(arguments)
    world, output = World.from_environment(), Store(options.output)
    corpus = Corpus.open(options.corpus)
    teacher = open_teacher(TeacherSource(options.teacher, options.network, options.device))
    settings = ScoreSettings(
        top=options.top,
        split=options.split,
        batch=options.batch,
        threads=options.threads,
        processes=options.processes,
    )
    run = ScoreRun(teacher, corpus, output, settings, world)
    silent = nullcontext[Progress](Silent())
    with silent if shown.json or world.rank else progress_shown() as progress:
        scores = run.scored(progress)
    if scores is None:
        return
    if shown.json:
        sys.stdout.write(json.dumps(told_scores(scores, teacher.notes), sort_keys=True) + "\n")
    else:
        print_lines(score_lines(scores, teacher.notes))


def told_scores(scores: Scores, notes: Sequence[str] = ()) -> dict[str, object]:
    """Returns what is printed with --json."""
    facts, totals = scores.facts, scores.totals
    return {
        "scores": scores.url,
        "digest": scores.digest,
        "teacher": facts.teacher["name"],
        "loss": facts.loss,
        "labels": len(facts.labels),
        "top": facts.top,
        "samples": facts.samples,
        "scored": totals.scored,
        "skipped": dict(totals.skipped),
        "rows": totals.rows,
        "parts": facts.num_parts,
        "notes": list(notes),
    }


def score_lines(scores: Scores, notes: Sequence[str] = ()) -> list[str]:
    """Returns what is printed at the end."""
    facts, totals = scores.facts, scores.totals
    meant = "share of the softmax" if facts.loss == "softmax" else "probability of the sigmoid"
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in totals.skipped.items()) or "none"
    rows = [
        ["teacher", safe_text(f"{facts.teacher['name']}, {len(facts.labels):,} labels", 80)],
        ["samples", f"{totals.scored:,} of {facts.samples:,} scored, {facts.top} labels each"],
        ["score", meant],
        ["skipped", safe_text(skipped, 200)],
        ["scores", safe_text(scores.url, ERROR_CELLS)],
    ]
    return [*warning_lines(list(notes)), *columns(rows, ())]
