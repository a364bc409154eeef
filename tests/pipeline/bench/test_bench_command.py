"""Tests `tagmill bench` from its flags to its figures."""

import json
from pathlib import Path
from typing import Any

import pytest

from tagmill.pipeline.bench import bench_command as module
from tagmill.pipeline.bench.bench_command import Measurement, bench_command, measure, place_of
from tagmill.pipeline.bench.stages import Stages
from tagmill.shards.errors import ConfigError, CorpusError
from tests.pipeline.corpora import Made, make_corpus

SHORT = ["--seconds", "0.05", "--rounds", "2", "--batch-size", "4", "--size", "8", "--threads", "1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("corpus"), [40])


def test_the_table(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    bench_command([made.url, *SHORT, "--backend", "cpu", "pillow", "--gpus", "16"])
    said = capsys.readouterr()
    shown = " ".join(said.out.split())
    begun, ended = said.err.splitlines()
    assert begun == "measure begins  2 in all" and ended.startswith("measure ends  2/2  ")
    for text in ("reading alone", "decoding alone, cpu", "the loader, pillow", "the corpus was read", "store: a file"):
        assert text in shown
    assert "16 GPUs of 1,000 images/s: 2 nodes" in shown and "tagmill corpus plan" in shown


def test_the_json(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    bench_command([made.url, *SHORT, "--backend", "cpu", "--view", "None", "--json"])
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert not said.err
    assert set(found["backends"]) == set(found["verdicts"]) == {"cpu"} and found["plan"] is None
    whole = found["backends"]["cpu"]["whole"]
    assert 0 < whole["slowest"] <= whole["images_per_second"] <= whole["fastest"]
    assert found["samples"] == 40 and found["images_read"] > 40


def test_a_backend_that_does_not_run_is_named(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Stages.decoding

    def decoding(stages: Stages, backend: str, seconds: float) -> Any:
        if backend == "dali":
            raise ConfigError("backend 'dali', but there is no driver", "loader", "use backend cpu")
        return usual(stages, backend, seconds)

    monkeypatch.setattr(Stages, "decoding", decoding)
    asked: dict[str, Any] = {"corpus": made.url, "seconds": 0.05, "rounds": 2, "batch_size": 4, "size": 8}
    found = measure(Measurement(**asked, backend=("cpu", "dali")))
    assert set(found.backends) == {"cpu"} and "no driver" in found.not_measured["dali"]
    with pytest.raises(ConfigError, match="no driver"):
        measure(Measurement(**asked, backend=("dali",)))


def test_wrong_values_and_places(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="seconds"):
        Measurement(corpus="corpus", seconds=0)
    with pytest.raises(CorpusError, match="no corpus here"):
        measure(Measurement(corpus=str(tmp_path)))


@pytest.mark.parametrize(
    ("share", "said"), [(0.99, "warm"), (0.01, "cold"), (0.5, "partly warm"), (None, "does not say")]
)
def test_where_bytes_come_from(made: Made, monkeypatch: pytest.MonkeyPatch, share: float | None, said: str) -> None:
    monkeypatch.setattr(module, "cached_share", lambda files: share)
    assert said in place_of(made.open())
