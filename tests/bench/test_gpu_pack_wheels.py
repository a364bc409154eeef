"""Wheels that travel in parts: what is packed is what is installed, and nothing that is missing or altered gets through."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.bench.gpu import join_wheels, pack_wheels


def wheel(folder: Path, name: str, payload: bytes) -> Path:
    """A wheel that pip installs: one module that tells how long its data are."""
    folder.mkdir(exist_ok=True)
    path, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{name}/__init__.py", f"SIZE = {len(payload)}\n")
        archive.writestr(f"{name}/data.bin", payload)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def wheels(tmp_path: Path) -> list[Path]:
    return [
        wheel(tmp_path / "wheels", name, bytes([number]) * 5000) for number, name in enumerate(("aaa", "bbb", "ccc"))
    ]


def joined(*arguments: object) -> "subprocess.CompletedProcess[str]":
    script = Path(join_wheels.__file__)
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_what_was_packed_is_installed_from_several_folders(tmp_path: Path, wheels: list[Path]) -> None:
    command = [sys.executable, str(Path(pack_wheels.__file__)), "--wheels", str(wheels[0].parent)]
    command += ["--to", str(tmp_path / "packed"), "--part-mb", "0.004"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    parts = sorted((tmp_path / "packed").glob("part-*.bin"))
    assert len(parts) >= 4 and all(part.stat().st_size <= 4000 for part in parts) and f"{len(parts)} parts" in told
    assert (tmp_path / "packed" / "join_wheels.py").exists()
    second = tmp_path / "second call"
    second.mkdir()
    for part in parts[::2]:
        part.rename(second / part.name)
    done = joined(tmp_path / "packed", second, "--target", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    code = "import aaa, bbb, ccc; print(aaa.SIZE + bbb.SIZE + ccc.SIZE)"
    seen = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path / "site")}
    )
    assert seen.stdout.strip() == "15000"
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode and "delete them first" in again.stderr


def test_missing_and_altered_parts_are_named_and_nothing_is_installed(tmp_path: Path, wheels: list[Path]) -> None:
    pack_wheels.pack(wheels, tmp_path / "packed", 4000)
    parts = sorted((tmp_path / "packed").glob("part-*.bin"))
    parts[0].unlink()
    data = bytearray(parts[1].read_bytes())
    data[9] ^= 1
    parts[1].write_bytes(data)
    done = joined(tmp_path / "packed", "--target", tmp_path / "site")
    assert done.returncode and "missing: part-00.bin; altered: part-01.bin" in done.stderr
    assert not (tmp_path / "site").exists()
    done = joined(tmp_path, "--target", tmp_path / "site")
    assert done.returncode and "no sums.json" in done.stderr


@pytest.mark.parametrize("name", ["../aaa-1.0-py3-none-any.whl", "/etc/aaa.whl", "aaa.txt"])
def test_a_list_that_names_another_place_is_refused(tmp_path: Path, wheels: list[Path], name: str) -> None:
    sums = pack_wheels.pack(wheels, tmp_path / "packed", 1 << 20)
    sums["wheels"][0]["name"] = name
    (tmp_path / "packed" / "sums.json").write_text(json.dumps(sums))
    done = joined(tmp_path / "packed", "--target", tmp_path / "site")
    assert done.returncode and "no name of a wheel" in done.stderr


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=6), part=st.integers(1, 200))
def test_any_sizes_come_back(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], part: int) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    data = {f"w{number:02d}.whl": bytes(range(256))[:size] * 2 for number, size in enumerate(sizes)}
    for name, content in data.items():
        (folder / "in" / name).write_bytes(content)
    sums = pack_wheels.pack(sorted((folder / "in").iterdir()), folder / "packed", part)
    assert [p["bytes"] for p in sums["parts"][:-1]] == [part] * (len(sums["parts"]) - 1)
    found = join_wheels.join(join_wheels.found_parts([folder / "packed"], sums), sums, folder / "out")
    assert {path.name: path.read_bytes() for path in found} == data
    assert {w["name"]: w["sha256"] for w in sums["wheels"]} == {
        n: hashlib.sha256(c).hexdigest() for n, c in data.items()
    }


def test_the_list_holds_what_dali_loads_with_our_pins() -> None:
    for cuda, suffix in (("130", "cu13"), ("120", "cu12")):
        names = pack_wheels.wanted(cuda)
        plain = [name.partition("==")[0] for name in names]
        assert f"nvidia-dali-cuda{cuda}" in plain and f"nvidia-nvimgcodec-{suffix}" in plain and "webdataset" in plain
        assert len(set(plain)) == len(plain)
    assert any(name.startswith("nvidia-dali-cuda130==2.") for name in pack_wheels.wanted("130"))
