"""The end of an ingest: at most 30 lines of 80 columns, with nothing that harms a terminal, and commands that exist."""

import importlib
import shlex
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tagmill.cli import find
from tagmill.ingest.dedup.placeholders import Crowd
from tagmill.ingest.dedup.resolve import SetCounts
from tagmill.ingest.endings.ingest_ending import MOST_LINES, PATH_CELLS, ingest_ending, next_commands
from tagmill.ingest.labels.coverage import FewLabels, Unmatched
from tagmill.ingest.report import Report, TopLabel
from tests.ingest.test_report import reports
from tests.markdown import ROOT

REPORT = Report(
    name="web",
    output="s3://bucket/web",
    rows=3_000_000,
    samples={"train": 2_390_000, "holdout": 10_000},
    rejects={
        "duplicate": 300_000,
        "not_found": 210_000,
        "timeout": 40_000,
        "near_duplicate": 30_000,
        "robots": 10_000,
        "connection": 5_000,
        "truncated": 4_000,
        "opted_out": 1_000,
        "empty": 0,
    },
    duplicates=300_000,
    shards=240,
    shard_bytes=240_000_000_000,
    labels=17_000,
    tags=12_345_678,
    tags_matched_share=0.52,
    unlabelled=1_000,
    labels_cut=0,
    top_labels=(
        TopLabel("dog", ("dog", "domestic_dog"), 120_000, ("n02084071",), {"dog": 80_000, "dogs": 30_000}),
        TopLabel("sunset", ("sunset",), 96_000, ("n15166462",), {"sunset": 96_000}),
        TopLabel("brownbear", ("brown_bear", "bruin"), 9_000, ("n02132136",)),
        TopLabel("oak", ("oak",), 8_000, ("n12268246",)),
    ),
    seconds={"partition": 21.0, "hosts": 0.01, "robots": 80.0, "fetch": 18_000.4, "pack": 600.0, "label": 95.0},
    image_stack={"pil": "12"},
    code_version="1",
    fetched_bytes=612_000_000_000,
    rare_labels=4_000,
)
ENDING = """\
web: s3://bucket/web
rows     3,000,000
samples  2,400,000: train 2,390,000, holdout 10,000
shards   240, 240 GB, 1.0 GB each
rejects: 600,000, 20.0% of the rows
  duplicate       300,000  10.0%  the same bytes as another sample, which get...
  not_found       210,000   7.0%  the host answered 404 or 410, or the file i...
  timeout          40,000   1.3%  the answer was not complete at the deadline...
  near_duplicate   30,000   1.0%  nearly the same image as another sample, by...
  robots           10,000   0.3%  forbidden by the robots.txt of the host or ...
  connection        5,000   0.2%  no connection to the host, or it was closed...
  2 others          5,000   0.2%  truncated, opted_out
  listed in s3://bucket/web/rejects/*.parquet
labels: 17,000; 52% of 12,345,678 tags led to one; 1,000 samples have none
  dog        120,000 images: #dog 80,000, #dogs 30,000
  sunset      96,000 images: #sunset 96,000
  brownbear    9,000 images: brown_bear, bruin
cost  612 GB fetched, 5:13:16 (fetch 5:00:00, pack 0:10:00, label 0:01:35)
more  s3://bucket/web/report.json
warning: 4,000 of 17,000 labels are on fewer than 10 training images each, too
         few to learn. `tagmill corpus view` with --min-count 10 leaves them
         out.

Next:
  tagmill corpus browse s3://bucket/web
  tagmill corpus plan s3://bucket/web --batch-size 256
  tagmill train --corpus s3://bucket/web --output s3://bucket/web-model
"""


def test_the_ending_of_a_large_run_is_that_of_the_docs() -> None:
    assert "\n".join(ingest_ending(REPORT)) + "\n" == ENDING
    assert ENDING in (ROOT / "docs/how-to/runs.md").read_text()


def test_the_ending_of_a_small_run_has_no_line_of_zeros() -> None:
    report = Report(
        *("photos", "out/my photos", 3, {"train": 3, "holdout": 0}, {}, 0, 1, 4_096, 1, 3, 1.0, 0, 0),
        (TopLabel("tulip", ("tulip",), 3, (), {"tulip": 3}),),
        {"fetch": 0.2},
        {},
        "1",
    )
    shown = "\n".join(ingest_ending(replace(report, samples={"train": 3})))
    assert "rejects" not in shown and "fetched" not in shown and "skipped" not in shown
    assert "shards   1, 4.1 kB\n" in shown and "whole corpus" not in shown
    assert "  tagmill corpus plan 'out/my photos' --batch-size 256" in shown


def test_a_run_that_extends_says_what_the_corpus_has_now() -> None:
    extended = replace(REPORT, totals={"rows": 9, "samples": 8, "train": 7, "holdout": 1, "bytes": 99})
    assert "whole corpus  train 7, holdout 1" in ingest_ending(extended)


def test_nothing_to_learn_has_no_command_to_train() -> None:
    few = FewLabels("words", "the tags are no English nouns", "give --aliases", 9, 0, (Unmatched("x", "#X\x1b", 7),))
    none = replace(REPORT, labels=0, few_labels=few, rare_labels=0, top_labels=())
    assert [command.split()[2] for command in next_commands(none)] == ["browse", "vocabulary"]
    shown = " ".join(" ".join(ingest_ending(none)).split())
    assert "warning: Hardly any labels, 0.0% of 9 tags led to a label: the tags are no English nouns" in shown
    assert "'#X\\x1b' 7" in shown
    empty = replace(REPORT, samples={"train": 0, "holdout": 0}, labels=0)
    assert [command.split()[2] for command in next_commands(empty)] == ["info"]


def test_warnings_that_do_not_fit_are_shortened_and_then_counted() -> None:
    crowds = [Crowd("0f" * 16, 1_012, 900, 2_345, 17, left_out=False)]
    few = FewLabels("words", "the tags are no English nouns", "give --aliases", 9)
    top = (TopLabel("x" * 300, (), 2_000_000),)
    bad = replace(REPORT, unlabelled=2_000_000, duplicates=1_000_000, top_labels=top)
    for number, (report, says) in enumerate(
        [
            (bad, "warning: 83% of the samples have no label, and training skips them. warning: The label 'xxx"),
            (replace(bad, sets=SetCounts(crowds=crowds), few_labels=few), "more in report.json (warnings)"),
        ]
    ):
        lines = ingest_ending(report)
        shown = " ".join(" ".join(lines).split())
        assert len(lines) <= MOST_LINES and says in shown
        assert len(report.warnings) == 4 + number and ("more in" in shown) == bool(number)


@settings(max_examples=25)
@given(reports)
def test_any_ending_fits_and_harms_no_terminal(report: Report) -> None:
    lines = ingest_ending(report)
    assert len(lines) <= MOST_LINES
    assert all(line.isprintable() and cell_len(line) <= 80 for line in lines), lines


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=40))
def test_every_next_command_exists_and_has_its_flags(output: str) -> None:
    for command in next_commands(replace(REPORT, output=output)):
        if not output.isprintable():
            assert command.isprintable()
            continue
        program, *words = shlex.split(command)
        assert program == "tagmill"
        found, rest, _ = find(words)
        assert found is not None and (output in rest or command.endswith("..."))
        assert cell_len(command) <= PATH_CELLS


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_flags_of_the_next_commands_are_read(number: int) -> None:
    if number == 0:
        pytest.importorskip("uvicorn", reason="the extra browse is not installed")
    words = shlex.split(next_commands(REPORT)[number])[1:]
    command, rest, _ = find(words)
    assert command is not None
    module = "tagmill.training.config.recipe" if words[0] == "train" else command.module  # without torch
    getattr(importlib.import_module(module), command.options).parse(rest)
