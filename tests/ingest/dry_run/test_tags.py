"""Labels of a part of the rows: scaled to the whole before they are cut, with a cause where there are hardly any."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tagmill.ingest.commit import default_view_rules
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dry_run.before_fetch import judge_rows
from tagmill.ingest.dry_run.tags import TagFindings, expected_labels
from tagmill.ingest.filters.takedown_rules import Denylist


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text("url,tags\n")
    return tmp_path / "a.csv"


def found(path: Path, tags: list[list[str]], scale: float = 1.0, **settings: Any) -> TagFindings:
    config = IngestConfig(input=(str(path),), output="out", **settings)
    urls = [f"http://a.example/{number}" for number in range(len(tags))]
    rows = pa.table({"row_id": range(len(tags)), "url": urls, "tags": pa.array(tags, pa.list_(pa.string()))})
    return expected_labels(judge_rows(rows, config, Denylist()), config, default_view_rules(config), scale)


def test_counts_are_those_of_the_whole_input(path: Path) -> None:
    tags = [["cat"], ["#cat", "dog"], ["Cat", "cats"], ["qqqq"]]
    seen = found(path, tags, scale=100.0)
    assert [(label.name, label.images) for label in seen.top] == [("cat", 300), ("dog", 100)]
    assert (seen.labels, seen.unlabelled, seen.tags, seen.tags_matched) == (2, 1, 6, 5)
    assert seen.unmatched == (("qqqq", 1),) and seen.few is None and seen.tags_a_row == 1.5


def test_labels_are_cut_by_what_the_whole_would_have(path: Path) -> None:
    tags = [["cat"], ["cat"], ["dog"]]
    assert found(path, tags, min_count=2).labels == 1
    assert found(path, tags, scale=2.0, min_count=2).labels == 2
    assert found(path, tags, top_k=1).unlabelled == 1
    assert found(path, [["zebra"], ["love"]], vocabulary="in1k").labels == 1


def test_hardly_any_label_has_its_cause(path: Path) -> None:
    seen = found(path, [["cat;dog;tulip"]] * 30)
    assert seen.few is not None and seen.few.cause == "separator" and "--tags-separator" in seen.few.remedy
    seen = found(path, [["cat"]] * 3, min_count=5)
    assert seen.few is not None and seen.few.cause == "vocabulary" and seen.unlabelled == 3
    seen = found(path, [["cat"]] * 20 + [["dog|cat"]])
    assert seen.few is None and seen.joined is not None and "|" in seen.joined


def test_no_rows_are_no_labels(path: Path) -> None:
    seen = found(path, [])
    assert (seen.rows, seen.labels, seen.few, seen.top) == (0, 0, None, ())
