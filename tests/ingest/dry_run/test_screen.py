"""The text of an estimate: at most 79 columns, visible characters alone, whatever the input says."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tagmill.ingest.dry_run.costs import Costs, HostCost
from tagmill.ingest.dry_run.findings import Column, ExampleRow, Findings, SampleFindings
from tagmill.ingest.dry_run.intervals import Interval
from tagmill.ingest.dry_run.screen import WIDTH, screen
from tagmill.ingest.dry_run.tags import ExpectedLabel, TagFindings

HOST = HostCost("photos.example", 2_000_000, 21.1, 0.5, False)
TAGS = TagFindings(
    48_000, 4.2, 200_000, 76_000, 1204, 5760, (ExpectedLabel("cat", 120_000),), (("love", 9000),), None, None
)
COSTS = Costs(
    *(2_900_000, 128.0, "requests", 21.1, 5210, (HOST,), HOST),
    *(Interval(0.0, 9.5e10, 9.5e10), None, False, 1.9e11, 1_200_000_000_000),
)
FOUND = Findings(
    *(3_000_000, False, False, 50_000, 128, 16),
    (Column("URL", "url", "--preset laion"), Column("TEXT", "caption", "--preset laion")),
    *(("HEIGHT", "WIDTH"), (ExampleRow("http://photos.example/1.jpg", ("cat",)), ExampleRow(None, ()))),
    *({"bad_url": 1000, "taken_down": 50}, 200, 48_000, TAGS, COSTS, None, ("the disk is small",)),
)
SPREAD = {"mean": 100.0, "10%": 50.0, "50%": 90.0, "90%": 200.0}
SAMPLE = SampleFindings(
    *(1000, 930, Interval(0.912, 0.93, 0.944), {"not_found": 60, "robots": 10}, 20.0, 50.0, 0.7),
    *(SPREAD, SPREAD, SPREAD, SPREAD, 3, 5, 4, Interval(2.6e6, 2.7e6, 2.74e6), 4.2e7),
)
EXPECTED = """\
An estimate of this ingest: nothing was written, no image was requested.

rows         about 3,000,000; 50,000 (1.7%) were read, of 16 of 128 inputs
column       url: 'URL' (--preset laion)
column       caption: 'TEXT' (--preset laion)
not read     HEIGHT, WIDTH
row          http://photos.example/1.jpg  [cat]
row          no URL  [no tags]
rejects      before anything is requested: bad_url 2.0%, taken_down 0.1%
"""


def test_the_text_begins_as_expected() -> None:
    assert screen(FOUND).startswith(EXPECTED)
    assert "warning      the disk is small\n" in screen(FOUND) and "--sample 1000" in screen(FOUND)


@pytest.mark.parametrize("sample", [None, SAMPLE, dataclasses.replace(SAMPLE, images=0, near_pairs=0, rejects={})])
def test_lines_fit_a_terminal(sample: SampleFindings | None) -> None:
    costs = dataclasses.replace(COSTS, measured=sample is not None, downloaded_bytes=Interval(1.0, 2.0, math.inf))
    text = screen(dataclasses.replace(FOUND, sample=sample, costs=costs))
    assert max(map(cell_len, text.split("\n"))) <= WIDTH and len(text.splitlines()) < 60
    assert ("93.0% (91.2% to 94.4% of all" in text) == (sample is not None)
    assert ("as stored" in text) == (sample is SAMPLE)
    assert "without an upper bound" in text


def test_what_is_unknown_is_said() -> None:
    unknown = dataclasses.replace(COSTS, stored_bytes=None, peak_bytes=None, hosts=0, slowest_host=None)
    text = screen(dataclasses.replace(FOUND, costs=unknown, rows_at_least=True))
    assert "not known without --sample" in text and "at least 3,000,000" in text and "slowest host" not in text


@given(st.text(st.characters(exclude_categories=()), max_size=300))
@settings(max_examples=60, deadline=None)
def test_nothing_of_the_input_breaks_a_terminal(evil: str) -> None:
    tags = dataclasses.replace(TAGS, top=(ExpectedLabel(evil, 3),), unmatched=((evil, 2),), joined=evil)
    costs = dataclasses.replace(COSTS, slowest_host=dataclasses.replace(HOST, host=evil))
    found = dataclasses.replace(
        *(FOUND,),
        columns=(Column(evil, "url", "default"),),
        unused_columns=(evil,),
        examples=(ExampleRow(evil, (evil,)),),
        tags=tags,
        costs=costs,
        warnings=(evil,),
    )
    text = screen(found)
    assert max(map(cell_len, text.split("\n"))) <= WIDTH
    assert all(char.isprintable() for char in text.replace("\n", ""))
