"""Tests the choice of device and decoder; what is not available is reported once, with its cost and the remedy."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode.choice import device
from tagmill.pipeline.decode.choice.device import (
    Machine,
    decide,
    detect,
    own_nvjpeg,
    parse_driver,
    query_driver,
    resolve,
    warn_once,
)
from tagmill.pipeline.decoding import Decoding
from tagmill.shards.errors import ConfigError

NEW, OLD = "nvidia-dali-cuda130", "nvidia-dali-cuda120"
REGION = Decoding(window="region")  # what "auto" is without restart markers


@pytest.fixture(autouse=True)
def nothing_was_said() -> Iterator[None]:
    warn_once.cache_clear()
    query_driver.cache_clear()
    yield
    query_driver.cache_clear()


def gpus(monkeypatch: pytest.MonkeyPatch, count: int, current: int = 0) -> None:
    """Makes torch report that number of GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current)


@pytest.mark.parametrize(
    ("asked", "count", "current", "rank", "found"),
    [
        ("cpu", 0, 0, "0", "cpu"),
        ("cpu", 8, 0, "3", "cpu"),
        ("auto", 0, 0, "3", "cpu"),
        ("auto", 8, 0, "3", "cuda:3"),
        ("cuda", 8, 0, "3", "cuda:3"),
        ("cuda", 8, 5, "3", "cuda:5"),  # the trainer chose
        ("cuda", 1, 0, "3", "cuda:0"),  # each rank sees only its own
        ("cuda", 8, 0, "", "cuda:0"),
        ("cuda:7", 8, 0, "3", "cuda:7"),
    ],
)
def test_each_rank_gets_its_gpu(
    monkeypatch: pytest.MonkeyPatch, asked: str, count: int, current: int, rank: str, found: str
) -> None:
    gpus(monkeypatch, count, current)
    assert resolve(asked, {"LOCAL_RANK": rank} if rank else {}) == found


def test_a_missing_gpu_raises_an_error(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    gpus(monkeypatch, 0)
    for asked in ("cuda", "cuda:1"):
        with pytest.raises(ConfigError, match="device auto or cpu"):
            resolve(asked, {})
    for _ in range(3):
        resolve("auto", {})
    assert len(caplog.records) == 1 and "ms of a core" in caplog.text
    gpus(monkeypatch, 2)
    with pytest.raises(ConfigError, match="2 GPUs"):
        resolve("cuda:2", {})


def on_gpu(backend: Any = "auto", **more: Any) -> LoaderConfig:
    return LoaderConfig(device="cuda:0", backend=backend, **more)


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (Machine(1, None), ["not installed", "pip install 'tagmill[dali]'"]),
        (Machine(1, None, 535), ["not installed", "dali-cu12"]),
        (Machine(1, NEW, 570), ["needs driver 580, this is 570", "dali-cu12"]),
        (Machine(1, OLD, 470), ["needs driver 525", "update the driver"]),
    ],
)
def test_without_a_working_dali_the_cpu_decodes(machine: Machine, words: list[str]) -> None:
    choice = decide(on_gpu(), machine)
    assert not choice.dali and choice.worse
    assert all(word in choice.why for word in [*words, "0.2 ms of a core"])
    with pytest.raises(ConfigError, match="use backend cpu"):
        decide(on_gpu("dali"), machine)
    assert decide(on_gpu("cpu"), machine).why == ""  # a configured choice needs no reason


@pytest.mark.parametrize("machine", [Machine(1, NEW, 580, True), Machine(1, NEW), Machine(1, "nvidia.dali", 400)])
def test_with_a_working_dali_it_decodes(machine: Machine) -> None:
    for backend in ("auto", "dali"):
        choice = decide(on_gpu(backend), machine)
        assert choice.dali and choice.why == "" and choice.decoding == REGION


def test_without_a_hardware_decoder() -> None:
    choice = decide(on_gpu(), Machine(1, NEW, 590, False))
    assert choice.dali and choice.decoding.hw_decoder_load == 0 and "no hardware JPEG decoder" in choice.why
    none = Decoding(hw_decoder_load=0.0)
    assert decide(on_gpu(decoding=none), Machine(1, NEW, 590, False)).why == ""


def test_with_an_older_nvjpeg_loaded_first_whole_images_are_decoded() -> None:
    """torchvision includes nvJPEG 13.1 under the name by which DALI's codec looks for its own."""
    choice = decide(on_gpu(), Machine(1, NEW, 580, True, (13, 1), "/own/libnvjpeg.so.13"))
    assert choice.dali and choice.decoding == Decoding(window="full")
    assert "torchvision" in choice.why and "LD_PRELOAD=/own/libnvjpeg.so.13 " in choice.why
    for machine in (Machine(1, NEW, 580, True, (13, 2)), Machine(1, NEW, 580, True, None)):
        assert decide(on_gpu(), machine).decoding == REGION
    for decoding in (Decoding(window="full"), Decoding(fancy_upsampling=False)):
        assert decide(on_gpu(decoding=decoding), Machine(1, NEW, 580, True, (13, 1))).why == ""


@pytest.mark.parametrize("device_", ["cpu", "cuda:0"])
def test_images_with_restart_markers_are_cut(device_: str) -> None:
    machine = Machine(1, NEW, 580, True, (13, 1))
    for window, cuttable, found in (
        ("auto", True, "cut"),
        ("cut", False, "cut"),
        ("region", True, "region" if device_ == "cpu" else "full"),  # with this nvJPEG; cuts need no regions
        ("full", True, "full"),
    ):
        config = LoaderConfig(device=device_, backend="dali", decoding=Decoding(window=window))  # type: ignore[arg-type]
        choice = decide(config, machine, cuttable=cuttable)
        assert choice.decoding.window == found and bool(choice.why) == (found != window != "auto")


@pytest.mark.parametrize("backend", ["dali", "both"])
def test_a_backend_that_was_asked_for_is_required(backend: Any) -> None:
    assert decide(LoaderConfig(backend=backend), Machine(0, NEW)).dali
    with pytest.raises(ConfigError, match=f"backend '{backend}', but DALI is not installed"):
        decide(LoaderConfig(backend=backend), Machine(0, None))
    with pytest.raises(ConfigError, match=f"backend '{backend}', but .*needs driver 580"):
        decide(on_gpu(backend), Machine(1, NEW, 570))


def test_the_wheel_for_older_drivers_decodes_whole_images() -> None:
    choice = decide(on_gpu(), Machine(1, OLD, 535, True))
    assert choice.dali and choice.decoding == Decoding(window="full") and "LD_PRELOAD" not in choice.why


def test_the_loaded_nvjpeg_is_detected() -> None:
    """In separate processes, because a library cannot be unloaded."""
    if (library := own_nvjpeg()) is None:
        pytest.skip("DALI's nvJPEG is not installed")
    asked = "from tagmill.pipeline.decode.choice.device import nvjpeg_loaded\n"
    asked += "print(nvjpeg_loaded(), nvjpeg_loaded('libnone.so'))"
    for before, found in (("", "None None"), (f"import ctypes\nctypes.CDLL({library!r})\n", "(13, ")):
        done = subprocess.run([sys.executable, "-c", before + asked], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(found) and done.stdout.endswith(" None\n")


def test_on_the_cpu_no_driver_is_queried() -> None:
    assert not decide(LoaderConfig(), Machine(0, NEW)).dali
    assert decide(LoaderConfig(backend="dali"), Machine(0, NEW)).dali
    with pytest.raises(ConfigError, match="pip install 'tagmill"):
        decide(LoaderConfig(backend="dali"), Machine(0, None))


@pytest.mark.parametrize(
    ("text", "driver", "engine"),
    [
        ("580.159.04, 0\n", 580, True),
        ("535.183.01, [N/A]\n", 535, False),
        ("535.183.01, [Not Supported]\n", 535, False),
        ("535.183.01, [Unknown Error]\n", 535, None),
        ("", None, None),
        ("no devices were found\n", None, None),
    ],
)
def test_the_drivers_answer_is_parsed(text: str, driver: int | None, engine: bool | None) -> None:
    assert parse_driver(text) == (driver, engine)


def test_a_driver_that_does_not_answer_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", gone)
    assert query_driver("0") == ""


def test_the_machine_is_queried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        uuid = "1234"

    asked: list[list[str]] = []

    def answer(command: list[str], **_: object) -> Any:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="580.65.06, 3\n")

    gpus(monkeypatch, 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties())
    monkeypatch.setattr(subprocess, "run", answer)
    monkeypatch.setattr(device, "dali_wheel", lambda: NEW)
    monkeypatch.setattr(device, "nvjpeg_loaded", lambda: (13, 1))
    monkeypatch.setattr(device, "own_nvjpeg", lambda: "/own")
    assert detect("cuda:1") == detect("cuda:1") == Machine(2, NEW, 580, True, (13, 1), "/own")
    assert len(asked) == 1 and "--id=GPU-1234" in asked[0]
    assert detect("cpu") == Machine(0, NEW)


def test_a_warning_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for text in ("one", "two", "one"):
            warn_once(text)
    assert [record.getMessage() for record in caplog.records] == ["one", "two"]
