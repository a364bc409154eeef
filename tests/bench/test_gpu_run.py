"""Runs the whole benchmark on DALI's CPU mode: tiny, with every part that a machine without a GPU can run."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tagmill.bench import corpora, measure
from tagmill.bench.gpu import __main__ as bench
from tagmill.bench.gpu import cases
from tagmill.bench.gpu.results import DECODER, GRAPH, LOADER, WEBDATASET
from tagmill.bench.workers import UnavailableError
from tests.pipeline.corpora import picture
from tests.warm.python import warm_python

pytest.importorskip("nvidia.dali")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Makes some small images. The corpora made from them are under build/bench, and are deleted afterwards."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.jpg").write_bytes(picture(number, 300 + number, 280))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)  # a dozen workers, each with its imports
def test_every_part_runs_and_a_second_call_runs_nothing_again(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = cases.Size(
        batch=8, warm=1, batches=1, steps=1, seconds=0.05, networks={"test_resnet": 2}, training_rounds=1, streams=2
    )
    monkeypatch.setattr(cases, "QUICK", size)
    monkeypatch.setattr(sys, "executable", warm_python())  # of the workers
    monkeypatch.setattr(bench, "QUICK_SAMPLES", 64)
    out = tmp_path / "gpu.json"
    arguments = ["--device", "cpu", "--quick", "--images", str(images), "--corpora", "256", "--threads", "1", "--sweep"]
    arguments += ["--parts", "limit,loader,peers,training", "--out", str(out), "--plot", str(tmp_path / "gpu.png")]
    try:
        bench.main(arguments)
        content = json.loads(out.read_text())
        for part, name in (
            ("limit", GRAPH),
            ("limit", DECODER),
            ("loader", LOADER),
            ("loader", "tagmill, decoding on the CPU"),
            ("loader", "tagmill, both at once"),
            ("loader", "tagmill, by its own choice"),
            ("peers", WEBDATASET),
            ("peers", "ImageFolder + DataLoader"),
            ("peers", "DALI's reader"),
            ("training", "test_resnet"),
            ("sweep", "default"),
            ("sweep", "window=full"),
            ("sweep", "window=cut"),
        ):
            case = content["cases"][f"{part}, 256, {name}"]
            assert case["runs"] and case["runs"][0]["images_per_second"] > 0, (name, case.get("reason"))
        run = content["cases"]["training, 256, test_resnet"]["runs"][0]
        assert run["ratios"][0] > 0 and run["loader"][0]["cpu_seconds_per_1000_images"] > 0
        assert (tmp_path / "gpu.png").exists()
        told = capsys.readouterr().out
        assert "no GPU: DALI decodes in its CPU mode" in told and "aim: 0.95" in told

        def again(case: cases.Case, _: object) -> object:
            """Only what could not run is tried again: torchcodec is not a package of the tests."""
            reason = content["cases"][f"{case.part}, {case.corpus}, {case.name}"].get("reason")
            assert reason is not None, f"{case.name} was run again"
            raise UnavailableError(reason)

        monkeypatch.setattr(bench.budgets, "run_together", again)
        bench.main(arguments)
        assert json.loads(out.read_text())["cases"] == content["cases"]
    finally:
        digest = corpora.digest(measure.pictures(images, bench.QUICK_PICTURES), 64, corpora.SHORT_SIDE)
        shutil.rmtree(measure.ROOT / "build/bench/loader" / digest, ignore_errors=True)


def test_without_time_no_case_starts_and_the_output_says_so(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "prepare", lambda *_, **__: tmp_path)
    monkeypatch.setattr(bench.budgets, "run_together", lambda *_: pytest.fail("it was begun"))
    bench.main(
        ["--device", "cpu", "--quick", "--images", str(images), "--minutes", "0", "--out", str(tmp_path / "o.json")]
    )
    assert "no time is left: the same command continues" in capsys.readouterr().out


def test_without_an_s3_service_there_is_a_reason(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(folders: object) -> object:
        raise SystemExit("no S3 service here: radosgw not installed")

    monkeypatch.setattr(corpora, "prepare", lambda *_, **__: tmp_path)
    monkeypatch.setattr(bench.remote, "service", missing)
    arguments = [
        "--device",
        "cpu",
        "--quick",
        "--images",
        str(images),
        "--parts",
        "s3",
        "--out",
        str(tmp_path / "o.json"),
    ]
    bench.main(arguments)
    assert "not run: no S3 service here" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--parts", "limit,all"], ["--corpora", "512"]])
def test_unknown_names_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        bench.parsed(wrong)
