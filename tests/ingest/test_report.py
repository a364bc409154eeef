"""The report: a round trip through its file, and a table that a person can read."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tagmill.ingest.dedup.placeholders import Crowd
from tagmill.ingest.dedup.resolve import SetCounts
from tagmill.ingest.labels.coverage import FewLabels, Unmatched
from tagmill.ingest.reasons import Reason, commonest
from tagmill.ingest.report import Report, TopLabel, warning

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
        st.builds(TopLabel, st.text(), st.lists(st.text(), max_size=2).map(tuple), st.integers(0, 9))
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
    Console(file=io.StringIO()).print(report.table())


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 5)), st.one_of(st.none(), st.integers(0, 4)))
def test_the_commonest_come_first_and_equal_ones_by_name(found: dict[str, int], most: int | None) -> None:
    items = list(commonest(found, most).items())
    assert items == sorted(found.items(), key=lambda item: (-item[1], item[0]))[:most]


def test_the_table_says_what_a_reason_means() -> None:
    report = Report(
        name="c",
        output="o",
        rows=4,
        samples={"train": 3, "holdout": 0},
        rejects={"not_found": 1},
        duplicates=0,
        shards=1,
        shard_bytes=20_480,
        labels=1,
        tags=4,
        tags_matched_share=0.25,
        unlabelled=0,
        labels_cut=0,
        top_labels=(TopLabel("brownbear", ("brown_bear", "bruin"), 3, ("n02132136",)),),
        seconds={"partition": 0.5},
        image_stack={"pil": "pillow-simd"},
        code_version="1",
        skipped=1_234,
        few_labels=FewLabels("words", "no [b]nouns[/b]", "give some", 4, 0, (Unmatched("xyzzy", "#Xyzzy[i]", 4),)),
        sets=SetCounts(crowds=[Crowd("0f" * 16, 1_012, 900, 2_345, 17, left_out=True)]),
    )
    console = Console(file=io.StringIO(), width=150)
    console.print(report.table())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in (
        Reason.NOT_FOUND.meaning,
        "25.0%",
        "25% led to a label",
        "brownbear",
        "brown_bear, bruin",
        "Hardly any labels, 0.0% of 4 tags led to a label: no [b]nouns[/b]; give some.",
        "#Xyzzy[i]",
        "partition 0.5",
        "pillow-simd",
        "0f" * 16,
        "1,012",
        "2,345",
        "dropped",
        "and 1,234 skipped lines",
    ):
        assert text in shown


def test_reports_of_before_are_read() -> None:
    """They have no synsets beside a label's name, and say nothing of few labels."""
    label = TopLabel("n02132136", ("brown_bear",), 3)
    report = Report("c", "o", 1, {"train": 1}, {}, 0, 1, 9, 1, 1, 1.0, 0, 0, (label,), {}, {}, "1")
    text = json.loads(report.json())
    del text["few_labels"], text["top_labels"][0]["synsets"]
    assert Report.parse(json.dumps(text).encode()) == report


def test_what_is_read_when_a_corpus_is_made_needs_another_ingest() -> None:
    console = Console(file=io.StringIO(), width=150)
    console.print(warning(FewLabels("separator", "one tag is several", "give --tags-separator ';'", 4)))
    console.print(warning(FewLabels("no_tags", "there are none", "name them")))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "one tag is several; ingest again and give --tags-separator ';'." in shown
    assert "Hardly any labels, there are no tags: there are none; ingest again and name them." in shown
