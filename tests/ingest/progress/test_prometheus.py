"""Metrics as node_exporter reads them: every line by the grammar of the format, whole at every moment."""

import re
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.progress.prometheus import PrometheusProgress
from tagmill.shards.errors import ConfigError
from tagmill.shards.progress.protocol import Silent

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), text)


def read(text: str) -> Samples:
    """The samples of a file. Everything that the format does not allow fails."""
    assert text.endswith("\n") and "\n\n" not in text
    samples: Samples = {}
    family, kind, helped, seen = "", "", set(), set()
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, _, what = line.removeprefix("# HELP ").partition(" ")
            assert re.fullmatch(NAME, name) and what and name not in helped
            helped.add(name)
        elif line.startswith("# TYPE "):
            family, kind = line.removeprefix("# TYPE ").split(" ")
            assert family in helped and family not in seen and kind in ("counter", "gauge")
            assert family.endswith("_total") == (kind == "counter")
            seen.add(family)
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] == family and family.startswith("tagmill_ingest_")
            labels, place = [], 0
            inside = found[2] or ""
            while place < len(inside):
                label = LABEL.match(inside, place)
                assert label, line
                labels.append((label[1], unescaped(label[2])))
                place = label.end()
            assert len(dict(labels)) == len(labels)
            key = (family.removeprefix("tagmill_ingest_"), frozenset(labels))
            assert key not in samples and (kind == "gauge" or float(found[3]) >= 0)
            samples[key] = float(found[3])
    return samples


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset({"corpus": "birds", **labels}.items())]


class Inner(Silent):
    def __init__(self) -> None:
        self.calls: list[object] = []

    def stage(self, name: str, total: int | None = None) -> None:
        self.calls.append((name, total))

    def advance(self, n: int, **counts: int) -> None:
        self.calls.append((n, counts))

    def fetched(self, traffic: FetchStats) -> None:
        self.calls.append(traffic)


def test_a_run_in_metrics(tmp_path: Path) -> None:
    path, inner = tmp_path / "tagmill.prom", Inner()
    with PrometheusProgress(inner, path, "birds", every=3600.0) as said:
        assert of(read(path.read_text()), "running") == 1  # there from the beginning
        said.stage("partition")
        said.stage("fetch", 50)
        said.advance(30, ok=25, timeout=5)
        said.fetched(FetchStats(4096, 3.0))
        said.advance(10, ok=10)
        said.write()
        now = read(path.read_text())
        assert of(now, "stage_rows_per_second", stage="fetch") > 0
        said.stage("pack", 40)
    samples = read(path.read_text())
    assert of(samples, "stage_rows_total", stage="fetch") == 40
    assert of(samples, "stage_rows_expected", stage="fetch") == 50
    assert of(samples, "stage_outcomes_total", stage="fetch", outcome="ok") == 35
    assert of(samples, "stage_outcomes_total", stage="fetch", outcome="rejected") == 5
    assert of(samples, "stage_rejects_total", stage="fetch", reason="timeout") == 5
    assert of(samples, "fetched_bytes_total", stage="fetch") == 4096
    assert of(samples, "stage_rows_per_second", stage="fetch") == 0
    assert all(of(samples, "stage_seconds", stage=stage) >= 0 for stage in ("partition", "fetch", "pack"))
    assert (of(samples, "running"), of(samples, "success")) == (0, 1)
    assert of(samples, "updated_timestamp_seconds") > 1.7e9
    assert [dict(labels)["version"] for name, labels in samples if name == "build_info"]
    assert inner.calls == [
        *[("partition", None), ("fetch", 50), (30, {"ok": 25, "timeout": 5}), FetchStats(4096, 3.0)],
        *[(10, {"ok": 10}), ("pack", 40)],
    ]
    assert [each.name for each in tmp_path.iterdir()] == ["tagmill.prom"]
    assert path.stat().st_mode & 0o004  # for a collector that runs as somebody else


def test_a_run_that_fails_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.prom"
    with pytest.raises(KeyError), PrometheusProgress(Silent(), path, "birds"):
        raise KeyError
    samples = read(path.read_text())
    assert (of(samples, "running"), of(samples, "success")) == (0, 0)


def test_it_is_written_again_and_again_and_is_whole_whenever_it_is_read(tmp_path: Path) -> None:
    path, versions = tmp_path / "x.prom", set()
    with PrometheusProgress(Silent(), path, "birds", every=0.001) as said:
        said.stage("fetch", 10**6)
        for number in range(2000):
            said.advance(1, ok=1, **{f"reason{number % 50}": 1})
            versions.add(tuple(sorted(read(path.read_text()).values())))
            if len(versions) > 5:
                break
            threading.Event().wait(0.002)
    assert len(versions) > 1


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="cannot write metrics"),
        PrometheusProgress(Silent(), tmp_path / "nowhere" / "x.prom", "birds"),
    ):
        raise AssertionError


def test_a_disk_that_is_lost_later_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    with PrometheusProgress(Silent(), folder / "x.prom", "birds", every=0.001) as said:
        (folder / "x.prom").unlink(missing_ok=True)
        for _ in range(1000):  # the writer may be just at it
            try:
                folder.rmdir()
                break
            except OSError:
                (folder / "x.prom").unlink(missing_ok=True)
        said.advance(1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@given(st.text(min_size=1).filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text)))
def test_any_text_of_a_label_is_escaped(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.prom"
        PrometheusProgress(Silent(), path, name).write()
        assert all(("corpus", name) in labels for _, labels in read(path.read_bytes().decode()))


def test_names_and_labels_are_those_that_users_scrape(tmp_path: Path) -> None:
    """They are part of dashboards and alerts."""
    with PrometheusProgress(Silent(), tmp_path / "x.prom", "birds", every=3600.0) as said:
        said.stage("fetch", 2)
        said.advance(2, ok=1, timeout=1)
        said.fetched(FetchStats(4096, 3.0))
    found = {name: {label for label, _ in labels} for name, labels in read((tmp_path / "x.prom").read_text())}
    assert found == {
        "build_info": {"corpus", "version"},
        **{name: {"corpus"} for name in ("running", "success", "updated_timestamp_seconds")},
        **{f"stage_{name}": {"corpus", "stage"} for name in ("rows_total", "rows_expected", "rows_per_second")},
        **{name: {"corpus", "stage"} for name in ("stage_seconds", "fetched_bytes_total")},
        "stage_outcomes_total": {"corpus", "stage", "outcome"},
        "stage_rejects_total": {"corpus", "stage", "reason"},
    }
