"""Describes the machine of the figures: the card, the driver, the libraries, the cores; and what it cannot measure."""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from tagmill.bench import measure
from tagmill.pipeline.decode import libjpeg
from tagmill.pipeline.decode.choice.device import LEAST_DRIVER, detect
from tagmill.pipeline.decode.cpu_affinity import cores_per_rank
from tagmill.shards.storage import ranged_reads

PACKAGES = ("torch", "torchvision", "timm", "webdataset", "numpy", "pillow", "pillow-simd", "pyarrow", "fsspec")
DALI_PACKAGES = (*LEAST_DRIVER, "nvidia-nvimgcodec-cu13", "nvidia-nvimgcodec-cu12", "nvidia-nvjpeg")


def versions() -> dict[str, str]:
    """Returns the versions of relevant packages."""
    found = {"python": platform.python_version(), "cuda": str(torch.version.cuda)}
    for name in (*PACKAGES, *DALI_PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def facts(device: str) -> dict[str, Any]:
    """Returns the head of the results. The commit of a working tree without git is 'unknown'."""
    machine: dict[str, Any] = {**measure.machine(), "usable_cores": cores_per_rank(), "platform": platform.platform()}
    machine |= {
        "windows_compiled": libjpeg.libjpeg_is_compiled(),
        "pieces_compiled": ranged_reads.is_compiled(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }
    if device != "cpu":
        properties = torch.cuda.get_device_properties(torch.device(device))
        seen = detect(device)
        machine["gpu"] = {
            "name": properties.name,
            "memory_bytes": properties.total_memory,
            "multiprocessors": properties.multi_processor_count,
            "driver": _asked("driver_version"),
            "jpeg_engine": seen.jpeg_engine,
            "pcie": _asked("pcie.link.gen.current,pcie.link.width.current"),
        }
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=measure.ROOT, capture_output=True, text=True, check=False
    )
    return {"machine": machine, "versions": versions(), "commit": done.stdout.strip() or "unknown"}


def cannot(device: str) -> list[str]:
    """Returns what will not be measured here, in plain words."""
    lines = []
    if device == "cpu":
        lines.append("no GPU: DALI decodes in its CPU mode, which says nothing about the speed of a GPU")
    if detect(device).wheel is None:
        lines.append("DALI is not installed: no limit, no DALI reader, no sweep (pip install nvidia-dali-cuda130)")
    if importlib.util.find_spec("webdataset") is None:
        lines.append("webdataset is not installed: not compared")
    without = {"timm": "no training", "torchvision": "no DataLoader"}
    lines += [
        f"{name} is not installed: {what}" for name, what in without.items() if importlib.util.find_spec(name) is None
    ]
    if importlib.util.find_spec("s3fs") is None or not any(Path(folder, "radosgw").exists() for folder in _path()):
        lines.append("no S3 service (Ceph's radosgw, and s3fs): the loader is measured from the disk only")
    return lines


def _path() -> list[str]:
    return os.environ.get("PATH", "").split(os.pathsep)


def _asked(field: str) -> str:
    try:
        command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip().splitlines()[0]
