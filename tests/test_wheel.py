"""The wheel: what it holds, what it must not hold, and that it works where nothing of the checkout is in sight."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tagmill.ingest.images import jpeg_planes
from tagmill.pipeline.decode import libjpeg
from tagmill.shards.storage import ranged_reads

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("shards", "ingest", "pipeline")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources, so that no stale build folder can help it."""
    source = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns(
        "__pycache__", ".venv", "build", "out", ".git", "*.egg-info", ".hypothesis", ".*_cache"
    )
    shutil.copytree(ROOT, source / "tree", ignore=ignore, symlinks=True)
    into = source / "wheel"
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(into),
        ".",
    ]
    subprocess.run(command, cwd=source / "tree", check=True, capture_output=True)
    return next(into.glob("tagmill-*.whl"))


def test_it_holds_every_source_file_of_the_rooms_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {name for name in names if ".dist-info/" not in name}
    sources = {f"tagmill/{path.relative_to(ROOT)}" for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    sources |= {f"tagmill/{name}.py" for name in ("__init__", "__main__", "train", "cli")}
    data = {f"tagmill/{path.relative_to(ROOT)}" for path in (ROOT / "ingest/engines/sql").glob("*.sql")}
    data |= {f"tagmill/ingest/labels/wordnet/{name}" for name in ("nouns.npz", "imagenet.npz", "LICENSE")}
    data |= {"tagmill/py.typed"}
    compiled = {
        "tagmill/shards/storage/_pieces": ranged_reads.is_compiled(),
        "tagmill/pipeline/decode/_windows": libjpeg.libjpeg_is_compiled(),
        "tagmill/ingest/images/_planes": jpeg_planes.is_compiled(),
    }
    objects = {name for name in ours if name.endswith(".so")}
    assert ours == sources | data | objects
    wanted = {name for name, here in compiled.items() if here}
    assert {name.partition(".")[0] for name in objects} == wanted, "what setup compiled here, a wheel compiles too"


def test_one_wheel_is_for_every_python_from_the_first_on(wheel: Path) -> None:
    """`requires-python` promises 3.11 and later; pip goes by the tag, and the linker by each library's own name."""
    names = zipfile.ZipFile(wheel).namelist()
    assert all(name.endswith(".abi3.so") for name in names if name.endswith(".so"))
    assert wheel.name.startswith(f"tagmill-{version('tagmill')}-cp311-abi3-"), wheel.name


def test_it_carries_both_licences_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert any(name.endswith("licenses/LICENSE") for name in names)
        assert any(name.endswith("licenses/ingest/labels/wordnet/LICENSE") for name in names)
        entry = next(name for name in names if name.endswith("entry_points.txt"))
        assert "tagmill = tagmill.cli:main" in archive.read(entry).decode()


def test_it_works_unpacked_somewhere_else(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "import tagmill.pipeline, tagmill.ingest, tagmill.train, tagmill.cli\n"
        "from tagmill.ingest.labels.synsets import WordNet\n"
        "print(tagmill.pipeline.__file__, WordNet.load().lookup('brownbear'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert done.stdout.strip() == f"{tmp_path}/tagmill/pipeline/decode/__init__.py ('n02132136',)"
