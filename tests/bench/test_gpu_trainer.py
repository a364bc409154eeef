"""Tests the runs of `tagmill train` in each way that a GPU has: their commands, and one of them on the CPU."""

import argparse
import sys
from pathlib import Path

import pytest

from tagmill.bench import corpora, measure
from tagmill.bench.gpu import cases, trainer
from tagmill.train import TRAIN_COMMAND
from tests.pipeline.corpora import picture
from tests.warm.python import warm_python


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trainer")
    (folder / "pictures").mkdir()
    for number in range(8):
        (folder / "pictures" / f"{number}.jpg").write_bytes(picture(number, 96, 80))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "ROOT", folder)
        return corpora.prepare(measure.pictures(folder / "pictures"), 64) / "corpus"


@pytest.fixture
def options(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    monkeypatch.setattr(trainer, "SIZE", 32)
    values = {"model": "test_resnet", "device": "cpu", "backend": "cpu", "batch": 4, "threads": 1, "streams": 2}
    return argparse.Namespace(corpus=str(corpus), lines=2, every=1, **values)


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
@pytest.mark.parametrize("way", trainer.WAYS)
def test_every_command_is_one_that_the_trainer_takes(options: argparse.Namespace, way: str, device: str) -> None:
    options.way, options.device = way, device
    words = trainer.command_of(options, "out", 3 if way in trainer.SEVERAL else 1)
    (config,) = TRAIN_COMMAND.parse(words[words.index("tagmill.train") + 1 :])
    assert config.batch_size == (12 if way in trainer.SEVERAL else 4)  # type: ignore[attr-defined]
    assert config.precision == ("fp32" if device == "cpu" else "bf16")  # type: ignore[attr-defined]
    assert ("torch.distributed.run" in words) == (way in trainer.SEVERAL)
    assert config.parallel == ("fsdp" if way == "FSDP2" else "ddp")  # type: ignore[attr-defined]


def test_the_benchmark_has_a_case_for_each_way() -> None:
    found = cases.ways("256", Path("data"), "cpu", 1, cases.QUICK)
    assert [case.name.rsplit(", ", 1)[-1] for case in found] == ["bf16", "compiled", "DDP", "FSDP2"]
    assert {case.part for case in found} == {"trainer"}


@pytest.mark.slow
def test_two_processes_are_measured(options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    options.way = "FSDP2"
    monkeypatch.setattr(sys, "executable", warm_python())
    monkeypatch.setenv("PYTHON_EXEC", warm_python())  # with which torchrun begins its processes
    found = trainer.run(options)
    assert found["processes"] == 2 and found["images_per_second"] > 0 and found["loss"] > 0
