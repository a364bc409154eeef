"""Chooses the device of delivery and the decoder: detects the machine's capabilities and explains the choice."""

import ctypes
import importlib.metadata
import importlib.util
import logging
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decoding import Decoding
from tagmill.shards.errors import ConfigError

log = logging.getLogger(__name__)

# The oldest driver that supports a wheel of DALI 2.x, by its installation guide.
LEAST_DRIVER = {"nvidia-dali-cuda130": 580, "nvidia-dali-cuda120": 525}
# The oldest nvJPEG with which DALI's codec decodes regions with interpolated colours: with an older one it uses the
# CPU.
REGIONS_SINCE = (13, 2)
# The cost of decoding on the CPU instead (bench/results/loader-*.json, 256-pixel photographs on an EPYC core).
CPU_COST = "a picture of 256 pixels then takes about 0.2 ms of a core"


@dataclass(frozen=True)
class Machine:
    """Properties on which the choice of a decoder depends. None: unknown."""

    gpus: int  # GPUs that torch can use
    wheel: str | None  # name of DALI's wheel; None: not installed
    driver: int | None = None  # its major version
    jpeg_engine: bool | None = None  # whether the GPU decodes JPEG in hardware
    nvjpeg: tuple[int, int] | None = None  # major and minor version loaded in this process; None: none yet
    own_nvjpeg: str | None = None  # path of DALI's own nvJPEG


@dataclass(frozen=True)
class Choice:
    """The decoder: True, DALI makes batches on the device; False, the CPU makes them and they are copied there."""

    dali: bool
    decoding: Decoding
    why: str = ""  # if the choice is not the expected one: the reason, the cost, the remedy
    worse: bool = False  # whether to log it as a warning


def detect(device: str) -> Machine:
    """Detects the machine's properties. For a GPU this runs the driver's nvidia-smi once."""
    wheel = dali_wheel()
    if device == "cpu" or not torch.cuda.is_available():
        return Machine(0, wheel)
    uuid = str(getattr(torch.cuda.get_device_properties(torch.device(device)), "uuid", ""))
    driver, engine = parse_driver(query_driver(f"GPU-{uuid}" if uuid else "0"))
    return Machine(torch.cuda.device_count(), wheel, driver, engine, nvjpeg_loaded(), own_nvjpeg())


def dali_wheel() -> str | None:
    """Returns the name of the installed wheel, or 'nvidia.dali' if it was installed in another way (conda)."""
    if not (importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.dali")):
        return None
    for name in LEAST_DRIVER:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return name
    return "nvidia.dali"


def nvjpeg_loaded(name: str = "libnvjpeg.so.13") -> tuple[int, int] | None:
    """Returns (major, minor) of the nvJPEG that this process has loaded, None without one. DALI uses the same:
    torchvision includes one, older than DALI's, and the first one loaded serves both."""
    try:
        library, numbers = ctypes.CDLL(name, os.RTLD_NOLOAD | os.RTLD_LAZY), (ctypes.c_int(), ctypes.c_int())
        if any(library.nvjpegGetProperty(part, ctypes.byref(number)) for part, number in enumerate(numbers)):
            return None
    except (OSError, AttributeError):
        return None
    return numbers[0].value, numbers[1].value


def own_nvjpeg() -> str | None:
    """Returns the path of the nvJPEG that was installed with DALI."""
    found = importlib.util.find_spec("nvidia")
    folders = [] if found is None else list(found.submodule_search_locations or ())
    paths = (Path(folder) / "cu13" / "lib" / "libnvjpeg.so.13" for folder in folders)
    return next((str(path) for path in paths if path.exists()), None)


@cache
def query_driver(gpu: str) -> str:
    """Returns a GPU's driver and the use of its JPEG engine ('[N/A]' without one), for example '580.65.06, 0'; empty if
    nvidia-smi fails."""
    command = [
        "nvidia-smi",
        f"--id={gpu}",
        "--query-gpu=driver_version,utilization.jpeg",
        "--format=csv,noheader,nounits",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def parse_driver(text: str) -> tuple[int | None, bool | None]:
    """Parses nvidia-smi's answer to (major version of the driver, whether there is a JPEG engine)."""
    driver, _, engine = (text.strip().splitlines() or [""])[0].partition(",")
    major = driver.strip().partition(".")[0]
    engine = engine.strip()
    has = True if engine.isdecimal() else False if "n/a" in engine.lower() or "support" in engine.lower() else None
    return (int(major) if major.isdecimal() else None), has


def resolve(device: str, environment: Mapping[str, str] = os.environ) -> str:
    """Resolves a configured device to 'cpu' or 'cuda:N'. 'cuda' is the device that the trainer chose with
    torch.cuda.set_device, or that of LOCAL_RANK; it is resolved here, because each thread has its own current device.
    'auto' is that, or the CPU without a GPU.

    Raises ConfigError for a GPU that does not exist.
    """
    if device == "cpu":
        return device
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not found:
        if device == "auto":
            warn_once(f"no GPU that torch can use: batches stay on the CPU; {CPU_COST}")
            return "cpu"
        remedy = "check nvidia-smi and torch.version.cuda, or give device auto or cpu"
        raise ConfigError(f"device {device!r}, but torch sees no GPU", "loader", remedy)
    if device in ("auto", "cuda"):
        rank = environment.get("LOCAL_RANK", "0")
        chosen = torch.cuda.current_device()
        number = chosen if chosen or not rank.isdecimal() or int(rank) >= found else int(rank)
        return f"cuda:{number}"
    if int(device.partition(":")[2]) >= found:
        raise ConfigError(f"device {device!r}, but torch sees {found} GPUs", "loader", "GPUs are numbered from 0")
    return device


def decide(config: LoaderConfig, machine: Machine, *, cuttable: bool = False) -> Choice:
    """Decides whether DALI can run for a configuration, and how. `cuttable`: most images have restart markers. Raises
    ConfigError if backend 'dali' or 'both' is configured and cannot run."""
    decoding, required = config.decoding, config.backend in ("dali", "both")
    if decoding.window == "auto":
        decoding = replace(decoding, window="cut" if cuttable else "region")
    if config.device == "cpu" or config.backend in ("cpu", "pillow"):
        if required and machine.wheel is None:
            raise ConfigError(f"backend {config.backend!r}, but DALI is not installed", "loader", _install(machine))
        return Choice(required, decoding)
    missing = ""
    if machine.wheel is None:
        missing = "DALI is not installed"
    elif machine.driver is not None and machine.driver < LEAST_DRIVER.get(machine.wheel, 0):
        missing = f"{machine.wheel} needs driver {LEAST_DRIVER[machine.wheel]}, this is {machine.driver}"
    if missing and required:
        raise ConfigError(
            f"backend {config.backend!r}, but {missing}", "loader", f"{_install(machine)}, or use backend cpu"
        )
    if missing:
        return Choice(False, decoding, f"decoding on the CPU, because {missing}: {_install(machine)}; {CPU_COST}", True)
    notes = list[str]()
    if machine.jpeg_engine is False and decoding.hw_decoder_load:
        notes.append("this GPU has no hardware JPEG decoder: its CUDA cores decode, which takes time from the training")
        decoding = replace(decoding, hw_decoder_load=0.0)
    nvjpeg = machine.nvjpeg if machine.wheel != "nvidia-dali-cuda120" else (12, 0)  # the version of CUDA 12
    if decoding.window == "region" and decoding.fancy_upsampling and nvjpeg is not None and nvjpeg < REGIONS_SINCE:
        notes.append("whole images are decoded: nvJPEG before 13.2 does not decode windows with interpolated colours")
        if nvjpeg == machine.nvjpeg:
            own = machine.own_nvjpeg or "DALI's libnvjpeg"
            notes.append(
                f"torchvision includes an older one; to load DALI's first, set LD_PRELOAD={own} before Python starts"
            )
        decoding = replace(decoding, window="full")
    return Choice(True, decoding, "; ".join(notes))


def _install(machine: Machine) -> str:
    old = machine.driver is not None and machine.driver < LEAST_DRIVER["nvidia-dali-cuda130"]
    if not old:
        return "pip install 'tagmill[dali]'"
    if machine.driver is not None and machine.driver < LEAST_DRIVER["nvidia-dali-cuda120"]:
        return "update the driver"
    return "pip uninstall nvidia-dali-cuda130, then pip install 'tagmill[dali-cu12]'"


@cache
def warn_once(text: str) -> None:
    """Logs a warning once in a process, however many loaders there are."""
    log.warning(text)
