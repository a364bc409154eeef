"""Tests the journal of metrics, in a folder and in a bucket."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagmill.shards import Store, TagmillError
from tagmill.training.metrics import journal
from tagmill.training.metrics.journal import FLUSH_SECONDS, Journal
from tests.training.runs import lines

NAME = "metrics.jsonl"


def test_lines_after_the_step_and_truncated_ones_are_dropped(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 2, "lo')
    written = Journal(Store(str(tmp_path)), "metrics", 2)
    assert written.last == 2
    written.add({"step": 3, "loss": 1.5})
    assert lines(tmp_path) == [{"step": 1}, {"step": 2}, {"step": 3, "loss": 1.5}] and written.last == 3


@pytest.mark.parametrize("folder", [True, False])
def test_a_number_that_json_does_not_have_is_not_written(tmp_path: Path, folder: bool) -> None:
    store = Store(str(tmp_path)) if folder else Bucket()
    written = Journal(store, "metrics", 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not JSON compliant"):
        written.add({"step": 1, "loss": float("nan")})
    written.flush()
    assert lines(tmp_path) == []


@pytest.mark.parametrize("text", [b"no JSON\n", b'{"loss": 1}\n', b"[1]\n", b'{"step": null}\n', b"x" * (1 << 20)])
def test_a_file_that_is_no_journal_is_refused_and_left(text: bytes, tmp_path: Path) -> None:
    whole = b'{"step": 1}\n' + text
    (tmp_path / NAME).write_bytes(whole)
    with pytest.raises(TagmillError, match=r"line 2 has no step .*metrics\.jsonl.*move the file away"):
        Journal(Store(str(tmp_path)), "metrics", 5)
    assert (tmp_path / NAME).read_bytes() == whole


class Bucket:
    """A store without a folder, which counts what is written into it."""

    root, url = None, "memory://run"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[int] = []

    def put(self, name: str, data: bytes) -> None:
        self.objects[name] = data
        self.puts.append(len(data))

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.objects if name.startswith(f"{prefix}/"))

    def size(self, name: str) -> int:
        return len(self.objects[name])

    def read(self, name: str) -> bytes:
        return self.objects[name]

    def delete_many(self, names: list[str]) -> None:
        for name in names:
            del self.objects[name]

    def lines(self) -> list[Any]:
        return [json.loads(line) for name in self.names("metrics") for line in self.objects[name].splitlines()]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.booleans()), max_size=6),
    part=st.integers(30, 200),
    every=st.integers(1, 5),
)
def test_a_bucket_has_the_lines_of_a_folder(
    runs: list[tuple[int, int, bool]], part: int, every: int, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any
) -> None:
    """Runs that continue from some step, add lines and end with or without a last flush; each write is bounded."""
    bucket, kept = Bucket(), list[int]()
    monkeypatch.setattr(journal, "PART_BYTES", part)
    times = [0.0]
    for start, added, is_flushed in runs:
        written = Journal(bucket, "metrics", start, lambda: times[0])  # type: ignore[arg-type]
        kept = [step for step in kept if step <= start]
        assert [line["step"] for line in bucket.lines()] == kept and written.last == max(kept, default=0)
        visible = list(kept)
        for step in range(start + 1, start + 1 + added):
            times[0] += FLUSH_SECONDS / every
            written.add({"step": step})
            kept.append(step)
            shown = [line["step"] for line in bucket.lines()]
            assert shown[: len(visible)] == visible and shown == kept[: len(shown)], (
                "a line was lost or is out of order"
            )
            assert len(kept) - len(shown) <= every, "lines are visible after some time"
            visible = shown
        if is_flushed:
            written.flush()
            assert [line["step"] for line in bucket.lines()] == kept
        kept = [line["step"] for line in bucket.lines()]  # a killed run loses what was not flushed
    assert max(bucket.puts, default=0) <= part + 20


def test_a_strange_object_of_a_bucket_is_refused() -> None:
    for name, content, says in (
        ("metrics/other.jsonl", b'{"step": 1}\n', "none of a run"),
        ("metrics/000000.jsonl", b"x" * (3 << 20), "has no step"),
    ):
        bucket = Bucket()
        bucket.objects[name] = content
        with pytest.raises(TagmillError, match=says):
            Journal(bucket, "metrics", 5)  # type: ignore[arg-type]
        assert bucket.objects == {name: content}


def test_a_run_in_a_bucket_goes_on_where_its_checkpoint_was() -> None:
    store = Store(f"memory://{uuid.uuid4()}")
    written = Journal(store, "metrics", 0, lambda: 0.0)
    for step in range(1, 30):
        written.add({"step": step})
    assert store.names("metrics") == [], "nothing is written before it is time"
    written.flush()
    resumed = Journal(store, "metrics", 7)
    resumed.add({"step": 8})
    resumed.flush()
    assert [json.loads(line)["step"] for line in store.read("metrics/000000.jsonl").splitlines()] == list(range(1, 9))
    assert Journal(store, "evaluations", 7).last == 0


def test_a_disk_that_is_full_is_one_line(tmp_path: Path) -> None:
    written = Journal(Store(str(tmp_path)), "metrics", 0)
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).symlink_to("/dev/full")
    with pytest.raises(TagmillError, match=r"not written: No space left on device.*metrics\.jsonl.*the same command"):
        written.add({"step": 1})
