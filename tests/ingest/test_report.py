"""The report: a round trip through its file, and a table that a person can read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.dedup.placeholders import Crowd
from tagmill.ingest.dedup.resolve import SetCounts
from tagmill.ingest.labels.coverage import FewLabels, Unmatched
from tagmill.ingest.reasons import commonest
from tagmill.ingest.report import Report, TopLabel

counts = st.dictionaries(st.sampled_from(["not_found", "timeout", "duplicate", "empty"]), st.integers(1, 1000))
reports = st.builds(
    Report,
    name=st.text(min_size=1, max_size=9),
    output=st.just("out/corpus"),
    rows=st.integers(1, 10**10),
    samples=st.fixed_dictionaries({"train": st.integers(0, 10**9), "holdout": st.integers(0, 99)}),
    rejects=counts.map(commonest),
    duplicates=st.integers(0, 99),
    shards=st.integers(0, 99),
    shard_bytes=st.integers(0, 1 << 50),
    labels=st.integers(0, 17_000),
    tags=st.integers(0, 10**9),
    tags_matched_share=st.floats(0, 1),
    unlabelled=st.integers(0, 99),
    labels_cut=st.integers(0, 99),
    top_labels=st.lists(
        st.builds(
            *(TopLabel, st.text(), st.lists(st.text(), max_size=2).map(tuple), st.integers(0, 9), st.just(())),
            st.dictionaries(st.text(max_size=5), st.integers(1, 9), max_size=2),
        )
    ).map(tuple),
    seconds=st.dictionaries(st.sampled_from(["partition", "fetch"]), st.floats(0, 1e6)),
    image_stack=st.dictionaries(st.sampled_from(["pil", "libjpeg"]), st.text()),
    code_version=st.text(),
    skipped=st.integers(0, 99),
    few_labels=st.none()
    | st.builds(
        FewLabels,
        st.just("words"),
        st.text(),
        st.text(),
        st.integers(0, 9),
        st.just(0),
        st.lists(st.builds(Unmatched, st.text(), st.text(), st.integers(1, 9)), max_size=2).map(tuple),
    ),
    sets=st.lists(st.builds(Crowd, key=st.just("0f" * 16)), max_size=12).map(lambda crowds: SetCounts(crowds=crowds)),
)


@given(reports)
def test_a_report_survives_its_file(report: Report) -> None:
    assert Report.parse(report.json()) == report
    assert json.loads(report.json())["warnings"] == report.warnings


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 5)), st.one_of(st.none(), st.integers(0, 4)))
def test_the_commonest_come_first_and_equal_ones_by_name(found: dict[str, int], most: int | None) -> None:
    items = list(commonest(found, most).items())
    assert items == sorted(found.items(), key=lambda item: (-item[1], item[0]))[:most]


def test_reports_of_before_are_read() -> None:
    """They have no synsets beside a label's name, and say nothing of few labels."""
    label = TopLabel("n02132136", ("brown_bear",), 3)
    report = Report("c", "o", 1, {"train": 1}, {}, 0, 1, 9, 1, 1, 1.0, 0, 0, (label,), {}, {}, "1")
    text = json.loads(report.json())
    del text["few_labels"], text["top_labels"][0]["synsets"]
    assert Report.parse(json.dumps(text).encode()) == report


def report_of(**facts: Any) -> Report:
    counts = {"rows": 100, "samples": {"train": 100}, "rejects": {}, "duplicates": 0, "shards": 1, "shard_bytes": 1}
    labels = {"labels": 9, "tags": 100, "tags_matched_share": 1.0, "unlabelled": 0, "labels_cut": 0, "top_labels": ()}
    return Report(
        **{"name": "c", "output": "o", **counts, **labels, "seconds": {}, "image_stack": {}, "code_version": "1"}
        | facts
    )


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"labels": 0}, "There is no label"),
        ({"unlabelled": 51}, "51% of the samples have no label"),
        ({"top_labels": (TopLabel("dog", (), 21),)}, "The label 'dog' is on 21% of the images"),
        ({"rejects": {"near_duplicate": 11}, "duplicates": 20}, "31% of the rows are copies"),
        ({"rare_labels": 1}, "1 of 9 labels are on fewer than 10"),
        ({"shards": 16, "shard_bytes": 16_000_000}, "The 16 shards are small, 1.0 MB on average"),
        (
            {"sets": SetCounts(crowds=[Crowd("0f", 1_012, 9, 9, 9, left_out=False)])},
            "of 0f under 1,012: placeholders?",
        ),
    ],
)
def test_what_is_out_of_proportion_is_a_warning(facts: dict[str, Any], says: str) -> None:
    (warning,) = report_of(**facts).warnings
    assert says in warning


def test_what_is_in_proportion_is_none() -> None:
    crowd = Crowd("0f", 1_012, 9, 9, 9, left_out=True)
    held = {"totals": {"train": 1_000}, "top_labels": (TopLabel("dog", (), 150),)}  # of the whole corpus
    assert report_of(sets=SetCounts(crowds=[crowd]), unlabelled=50, duplicates=30, **held).warnings == []
