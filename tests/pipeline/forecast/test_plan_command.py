"""Tests the forecast against what the loader does afterwards."""

import json
from pathlib import Path

import pytest

from tagmill.pipeline import Loader, LoaderConfig, World
from tagmill.pipeline.forecast.plan_command import Forecast, forecast, plan_command
from tagmill.shards.errors import ConfigError, CorpusError
from tests.pipeline.corpora import Made, make_corpus

ONE = 1 << 16


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    repeats = [ONE, 2 * ONE, ONE + ONE // 2, ONE] * 20
    return make_corpus(tmp_path_factory.mktemp("corpus"), [30, 30, 20], repeats=repeats)


def test_the_figures_equal_the_loaders(made: Made) -> None:
    needs = forecast(Forecast(corpus=made.url, batch_size=8, world=2, streams=4, chunk=5, images_per_second=10))
    with Loader(made.url, LoaderConfig(batch_size=8, streams=4, chunk=5), World(0, 2)) as loader:
        assert needs.samples == loader.samples_per_epoch and needs.batches == loader.batches_per_epoch
        assert needs.local_batch_size == loader.local_batch_size
        assert needs.tail == 1 - loader._schedule.plan(0).tail_start / needs.samples
        assert needs.rank_bytes < loader.memory()
    assert needs.node_bytes == 2 * needs.rank_bytes
    assert needs.epoch_hours == pytest.approx(needs.samples / 20 / 3600)
    assert "lower streams, window or chunk" in needs.advice


def test_requests_of_chunks_and_of_single_samples(made: Made) -> None:
    """Without a view a sample that is read alone costs an index row and an image, a chunk hardly more."""
    chunks = forecast(Forecast(corpus=made.url, batch_size=4, view=None, streams=1, window=1, chunk=10))
    assert chunks.tail == 0 and chunks.advice == ""
    assert 0.2 <= chunks.requests_per_second / 1000 <= 0.3  # two reads for ten samples, four at the end of a shard
    singly = forecast(Forecast(corpus=made.url, batch_size=4, view=None, streams=4, window=1, chunk=1))
    assert singly.requests_per_second / 1000 == pytest.approx(2)
    assert singly.bytes_per_second == pytest.approx(1000 * sum(e.bytes for e in made.entries) / 80)


def test_what_the_loader_refuses_raises_an_error(made: Made, tmp_path: Path) -> None:
    for wrong in ({"world": 9, "streams": 4}, {"world": 0}, {"images_per_second": 0.0}, {"ranks": 0}):
        with pytest.raises(ConfigError):
            forecast(Forecast(**{"corpus": made.url, "batch_size": 8, **wrong}))  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match="no view"):
        forecast(Forecast(corpus=made.url, batch_size=8, view="other"))
    with pytest.raises(CorpusError, match="no corpus here"):
        forecast(Forecast(corpus=str(tmp_path), batch_size=8))


def test_who_decodes_with_some_cores(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert forecast(Forecast(corpus=made.url, batch_size=8)).decoder is None
    needs = forecast(Forecast(corpus=made.url, batch_size=8, cores=14))
    assert needs.decoder is not None and needs.decoder.startswith("CPU. 14 cores (40% of them)")
    plan_command([made.url, "--batch-size", "8", "--cores", "14"])
    assert "CPU. 14 cores" in " ".join(capsys.readouterr().out.split())


def test_the_command_line(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    plan_command([made.url, "--batch-size", "8", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["samples"] == 110 and told["tail"] == 1
    assert told["shuffle"]["duplicates_global"] > 0 and told["shuffle"]["same_shard"] > 0
    plan_command([made.url, "--batch-size", "8", "--streams", "1", "--chunk", "5", "--view", "None"])
    shown = capsys.readouterr().out
    assert "80 samples, 10 batches" in shown and "lower" not in shown
    assert "of the distance in a global shuffle" in shown and "0, 0 in a global shuffle" in shown


def test_each_figure_has_a_legend_and_too_little_memory_is_a_warning(
    made: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for memory, warned in ((0, False), (1000, True), (1 << 40, False)):
        monkeypatch.setattr("tagmill.pipeline.forecast.plan_command.machine_memory", lambda found=memory: found)
        plan_command([made.url, "--batch-size", "8", "--streams", "1", "--chunk", "5"])
        shown = " ".join(capsys.readouterr().out.split())
        assert ("and this machine has 1.0 kB: lower --streams" in shown) == warned
    assert "read in small pieces; good up to 5%." in shown and "1 is best." in shown


def test_an_empty_first_epoch_raises_an_error(tmp_path: Path) -> None:
    """One sample whose turn comes once in 65,536 epochs."""
    rare = make_corpus(tmp_path, [1], repeats=[1])
    with pytest.raises(CorpusError, match="first epoch has no samples"):
        forecast(Forecast(corpus=rare.url, batch_size=1))


def test_the_load_of_the_machines(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"corpus": made.url, "batch_size": 64, "world": 16, "streams": 16, "chunk": 5, "images_per_second": 200.0}
    needs = forecast(Forecast(**asked, core_ms=0.5))  # type: ignore[arg-type]
    mean = sum(entry.bytes for entry in made.entries) / 80  # of the tars: a little more than their images
    assert needs.demand.pcie_bytes == pytest.approx(200 * mean)
    assert needs.demand.nodes == 2 and needs.demand.cores == pytest.approx(0.1)
    assert needs.demand.store_bytes == pytest.approx(2 * needs.bytes_per_second)  # of two nodes, 8 ranks each
    assert needs.demand.store_requests == pytest.approx(2 * needs.requests_per_second)
    for size in (32, "16-32:16", "16-32:16@2"):  # of several sizes the largest counts
        pixels = forecast(Forecast(**asked, decode="cpu", size=size))  # type: ignore[arg-type]
        assert pixels.demand.pcie_bytes == 200 * 3 * 32 * 32
    for wrong in ({"size": 0}, {"size": "32-16"}, {"core_ms": 0.0}):
        with pytest.raises(ConfigError):
            forecast(Forecast(**asked, **wrong))  # type: ignore[arg-type]
    plan_command([made.url, "--batch-size", "8"])
    assert "not measured: give --core-ms" in capsys.readouterr().out
    plan_command([made.url, "--batch-size", "8", "--decode", "cpu"])
    assert "MB a second over PCIe" in capsys.readouterr().out
