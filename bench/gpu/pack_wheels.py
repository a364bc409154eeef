"""Packs the wheels that a GPU machine without a network lacks into parts that can be carried there.

python bench/gpu/pack_wheels.py --to build/bench/wheels [--cuda 130|120] [--python 3.12] [--part-mb 55] [--add NAME ...]

join_wheels.py installs them there. By default everything that tagmill's loader and benches need beside torch, torchvision,
timm, numpy, pyarrow, fsspec, Pillow, rich and matplotlib, which such machines have. The folder then holds part-NN.bin,
sums.json (sha256 of parts and wheels) and join_wheels.py. Standard library and pip alone.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
JOINER = Path(__file__).with_name("join_wheels.py")
# glibc's versions that wheels are named by; pip takes each only if it is named.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (39, 35, 34, 31, 28, 27, 24, 17, 12, 5)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
# By distribution, as wanted: what DALI loads (its codecs, their libraries, what its Python side imports), and what we do.
DALI = {
    "130": "nvidia-dali-cuda130 nvidia-nvimgcodec-cu13 nvidia-libnvcomp-cu13 nvidia-nvjpeg nvidia-nvjpeg2k-cu13"
    " nvidia-nvtiff-cu13",
    "120": "nvidia-dali-cuda120 nvidia-nvimgcodec-cu12 nvidia-libnvcomp-cu12 nvidia-nvjpeg-cu12 nvidia-nvjpeg2k-cu12"
    " nvidia-nvtiff-cu12",
}
PYTHON_SIDE = ("astunparse", "gast", "six", "optree", "nvtx", "makefun", "libcst")
OURS = ("deflate", "webdataset", "braceexpand", "tyro", "docstring-parser", "typeguard")
CHUNK = 1 << 20


def wanted(cuda: str) -> list[str]:
    """Names with the versions that requirements.lock pins, where it does."""
    pinned = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        name, _, rest = line.partition("==")
        if rest and not line.startswith((" ", "#")):
            pinned[name.strip()] = rest.split()[0]
    names = [*DALI[cuda].split(), *PYTHON_SIDE, *OURS]
    return [f"{name}=={pinned[name]}" if name in pinned else name for name in names]


def download(requirements: list[str], python: str, folder: Path) -> None:
    """The wheels into `folder`, without what they need in turn: that is in the list, or on the machine."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", python, "--dest", str(folder), "--quiet"]
    command += [text for platform in PLATFORMS for text in ("--platform", platform)]
    subprocess.run([*command, *requirements], check=True)


def pack(wheels: list[Path], folder: Path, part_bytes: int) -> dict[str, Any]:
    """Writes the wheels one after the other into parts of at most `part_bytes`, and sums.json; returns what that holds."""
    folder.mkdir(parents=True, exist_ok=True)
    sums: dict[str, Any] = {"format": "1", "parts": [], "wheels": []}
    part = bytearray()

    def finish() -> None:
        name = f"part-{len(sums['parts']):02d}.bin"
        (folder / name).write_bytes(part)
        sums["parts"].append({"name": name, "bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()})
        part.clear()

    for wheel in sorted(wheels):
        digest = hashlib.sha256()
        with wheel.open("rb") as file:
            while data := file.read(min(CHUNK, part_bytes - len(part))):
                digest.update(data)
                part += data
                if len(part) == part_bytes:
                    finish()
        sums["wheels"].append({"name": wheel.name, "bytes": wheel.stat().st_size, "sha256": digest.hexdigest()})
    if part:
        finish()
    (folder / "sums.json").write_text(json.dumps(sums, indent=1) + "\n")
    shutil.copy(JOINER, folder / JOINER.name)
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=ROOT / "build/bench/wheels")
    parser.add_argument("--cuda", choices=sorted(DALI), default="130", help="120 for drivers before 580")
    parser.add_argument("--python", default="3.12", help="of the machine")
    parser.add_argument("--part-mb", type=float, default=55.0, help="most of a part, in units of 10^6 bytes")
    parser.add_argument("--add", nargs="*", default=[], help="further packages")
    parser.add_argument("--wheels", type=Path, help="pack those of a folder instead of downloading any")
    options = parser.parse_args()
    if any(options.to.glob("part-*.bin")):
        sys.exit(f"there are parts in {options.to} already: delete them first")
    with tempfile.TemporaryDirectory() as place:
        folder = options.wheels or Path(place)
        if options.wheels is None:
            download([*wanted(options.cuda), *options.add], options.python, folder)
        sums = pack(list(folder.glob("*.whl")), options.to, int(options.part_mb * 1e6))
    for part in sums["parts"]:
        print(f"{part['bytes'] / 1e6:8.1f} MB  {part['name']}")
    total = sum(wheel["bytes"] for wheel in sums["wheels"])
    print(f"{total / 1e6:8.1f} MB in {len(sums['wheels'])} wheels, {len(sums['parts'])} parts, in {options.to}")


if __name__ == "__main__":
    main()
