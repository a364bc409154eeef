"""On the machine without a network: joins the parts that pack_wheels.py made, checks them, and installs the wheels.

python3 join_wheels.py FOLDER... --target /tmp/site     then     export PYTHONPATH=/tmp/site

FOLDERs hold parts and sums.json; parts may come in several goes and lie in several folders. With parts missing it says which,
and installs nothing. Needs nothing but Python 3 with pip.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, NoReturn


def complain(text: str) -> NoReturn:
    """Ends with a message."""
    sys.exit(f"join_wheels: {text}")


def sha256(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def found_parts(folders: list[Path], sums: dict[str, Any]) -> list[Path]:
    """The parts in their order, each whole. Ends with what is missing or altered."""
    paths, missing, altered = list[Path](), list[str](), list[str]()
    for part in sums["parts"]:
        here = [path for folder in folders if (path := folder / part["name"]).is_file()]
        whole = [path for path in here if path.stat().st_size == part["bytes"] and sha256(path) == part["sha256"]]
        if whole:
            paths.append(whole[0])
        else:
            (altered if here else missing).append(part["name"])
    if missing or altered:
        said = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("altered", altered)) if names]
        complain("; ".join(said))
    return paths


def join(paths: list[Path], sums: dict[str, Any], folder: Path) -> list[Path]:
    """The wheels, cut out of the parts again. A wheel's name is a name and no path."""
    stream, wheels = Stream(paths), []
    for wheel in sums["wheels"]:
        if Path(wheel["name"]).name != wheel["name"] or not wheel["name"].endswith(".whl"):
            complain(f"no name of a wheel: {wheel['name']!r}")
        path, digest, left = folder / wheel["name"], hashlib.sha256(), wheel["bytes"]
        with path.open("wb") as file:
            while left:
                data = stream.read(min(left, 1 << 20))
                if not data:
                    complain(f"the parts end inside {wheel['name']}")
                file.write(data)
                digest.update(data)
                left -= len(data)
        if digest.hexdigest() != wheel["sha256"]:
            complain(f"altered: {wheel['name']}")
        wheels.append(path)
    return wheels


class Stream:
    """Files read as one."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = list(paths)
        self._file: BinaryIO | None = None

    def read(self, most: int) -> bytes:
        """At most so many bytes; none at the end."""
        while True:
            if self._file is None:
                if not self._paths:
                    return b""
                self._file = self._paths.pop(0).open("rb")
            if data := self._file.read(most):
                return data
            self._file.close()
            self._file = None


def install(wheels: list[Path], target: Path) -> None:
    """By pip, without a look at what they need."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--upgrade", "--target", str(target)]
    if subprocess.run([*command, *map(str, wheels)], check=False).returncode:
        complain("pip refused: see above")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--target", type=Path, required=True, help="a folder for PYTHONPATH")
    options = parser.parse_args()
    lists = [folder / "sums.json" for folder in options.folders if (folder / "sums.json").is_file()]
    if not lists:
        complain("no sums.json in any of these folders")
    sums = json.loads(lists[0].read_text())
    with tempfile.TemporaryDirectory() as place:
        wheels = join(found_parts(options.folders, sums), sums, Path(place))
        install(wheels, options.target)
    print(f"{len(wheels)} wheels are in {options.target}: export PYTHONPATH={options.target}")


if __name__ == "__main__":
    main()
