"""The wheel: its contents, and that it works on every Python of this machine where no checkout and no compiler can help it."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import setuptools

from tagmill.ingest.images import jpeg_planes
from tagmill.pipeline.decode import libjpeg
from tagmill.shards.storage import ranged_reads
from tests.pipeline.corpora import make_corpus, picture

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("shards", "ingest", "pipeline", "training", "predict", "browse", "pages", "transfer", "studies")
COMPILED = {
    "tagmill/shards/storage/_pieces": ranged_reads.is_compiled(),
    "tagmill/pipeline/decode/_windows": libjpeg.libjpeg_is_compiled(),
    "tagmill/ingest/images/_planes": jpeg_planes.is_compiled(),
}
LICENCES = ("LICENSE", "ingest/labels/wordnet/LICENSE", "setup/licenses/libjpeg-turbo")
SMALL = ("numpy", "pyarrow", "fsspec", "deflate", "pillow")  # without torch, which takes gigabytes; they need no others
USER = "from tagmill.pipeline import Loader\n\nreveal_type(Loader)\n"

CALLS = """
import importlib.util, sys
from pathlib import Path
import numpy as np
import tagmill
from tagmill.ingest.images import jpeg_planes
from tagmill.shards import Corpus
from tagmill.shards.storage import ranged_reads

jpeg, corpus = Path(sys.argv[1]), sys.argv[2]
assert Path(tagmill.__file__).is_relative_to(sys.prefix), tagmill.__file__
assert ranged_reads.is_compiled() and jpeg_planes.is_compiled()
body = jpeg.read_bytes()
assert ranged_reads.read(jpeg, [(2, 9), (20, 30)]).found == [body[2:9], body[20:30]]
smaller, luma = jpeg_planes.downscale(body, (200, 160), (100, 80), 1, 90)
assert smaller[:2] == body[:2] and len(smaller) < len(body) and len(luma) == 64 * 64
# Its door imports torch, which is not here.
(path,) = Path(tagmill.__file__).parent.glob("pipeline/decode/_windows*.so")
spec = importlib.util.spec_from_file_location("tagmill.pipeline.decode._windows", path)
windows = importlib.util.module_from_spec(spec)
batch, facts = np.zeros((1, 32, 32, 3), np.uint8), np.array([[0, 10, 10, 150, 140, 0]], np.int32)
assert windows.fill(batch, 32, 0, [body], facts, 3, (1.0,) * 3, (0.0,) * 3, True) == b"\\0" and batch.std() > 5
Corpus.open(corpus)
assert "/tagmill.libs/libjpeg" in Path("/proc/self/maps").read_text(), "libjpeg is the wheel's own"
print("called")
"""

LOADS = """
import sys
from pathlib import Path
import tagmill.cli, tagmill.ingest, tagmill.train
from tagmill.ingest.labels.synsets import WordNet
from tagmill.pipeline import Loader, LoaderConfig, loader
from tagmill.pipeline.decode import libjpeg

site, corpus = sys.argv[1:]
assert Path(loader.__file__).is_relative_to(site), loader.__file__
assert WordNet.load().lookup("brownbear") == ("n02132136",)
assert libjpeg.libjpeg_is_compiled() and Path(libjpeg._compiled.__file__).is_relative_to(site)
batches = list(Loader(corpus, LoaderConfig(batch_size=8, size=32, device="cpu", backend="cpu")))
assert all(batch.valid[: batch.count].all() for batch in batches) and batches[0].images.float().std() > 0
assert "/tagmill.libs/libjpeg" in Path("/proc/self/maps").read_text(), "libjpeg is the wheel's own"
print(sum(batch.count for batch in batches))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that no stale build folder can help."""
    folder = tmp_path_factory.mktemp("source") / "tree"
    ignore = shutil.ignore_patterns(
        "__pycache__", ".venv", "build", "out", ".git", "*.egg-info", "*.so", ".hypothesis", ".*_cache"
    )
    return Path(shutil.copytree(ROOT, folder, ignore=ignore, symlinks=True))


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    """The wheel, as `make wheel` builds it."""
    into = tree.parent / "wheel"
    run(str(tree / "setup/wheel.sh"), sys.executable, str(into))
    return next(into.glob("tagmill-*.whl"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_corpus(tmp_path_factory.mktemp("corpus"), [12, 9]).url


class FailedError(Exception):
    """A command that ended with an error; its message ends with the command's last line."""


def clean_environment(**more: str) -> dict[str, str]:
    """Neither a checkout nor a compiler can be found from it."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PATH", "CC")}
    return {**kept, "PATH": "/nowhere", **more}


def run(*command: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Returns its standard output. Raises FailedError."""
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd)
    if done.returncode:
        raise FailedError(f"{' '.join(command)[:200]}\n{done.stdout[-2000:]}\n{done.stderr[-4000:].strip()}")
    return done.stdout


def pip(*words: str, python: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Our pip, also for environments that have none."""
    whose = ["--python", str(python)] if python else []
    quick = ["--disable-pip-version-check", "install", "--quiet", "--no-compile"]  # few of their modules are imported
    command = [sys.executable, "-m", "pip", *whose, *quick, *words]
    return run(*command, env=env or clean_environment())


def pythons() -> dict[str, Path]:
    """One Python of each version from 3.11 on, by version."""
    places = [*os.environ["PATH"].split(os.pathsep), "/usr/local/bin", "/usr/bin"]
    folders = [Path(place) for place in places if place]
    folders += sorted((Path.home() / ".pyenv/versions").glob("*/bin"))
    found = {f"3.{sys.version_info.minor}": Path(sys.executable)}
    for path in (path for folder in folders for path in sorted(folder.glob("python3.*"))):
        match = re.fullmatch(r"python(3\.(\d+))", path.name)
        if match and int(match[2]) >= 11 and match[1] not in found:
            done = subprocess.run(
                [path, "-c", "import ensurepip, venv"], capture_output=True
            )  # a shim may be no Python
            if not done.returncode:
                found[match[1]] = path
    return found


def test_it_holds_every_source_file_of_the_rooms_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {name for name in names if ".dist-info/" not in name and not name.endswith("/")}
    sources = {f"tagmill/{path.relative_to(ROOT)}" for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    sources |= {f"tagmill/{name}.py" for name in ("__init__", "__main__", "train", "cli")}
    data = {f"tagmill/{path.relative_to(ROOT)}" for path in (ROOT / "ingest/engines/sql").glob("*.sql")}
    data |= {
        f"tagmill/ingest/labels/wordnet/{name}" for name in ("nouns.npz", "imagenet.npz", "rarely_nouns.txt", "LICENSE")
    }
    data |= {
        "tagmill/browse/report/report.html.jinja",
        "tagmill/studies/page/study.html.jinja",
        "tagmill/studies/selection/selection.html.jinja",
        "tagmill/transfer/audit/audit.html.jinja",
        "tagmill/transfer/detection/detection.html.jinja",
        "tagmill/transfer/report/transfer.html.jinja",
        "tagmill/transfer/vtab/vtab.html.jinja",
        "tagmill/py.typed",
    }
    data |= {f"tagmill/pages/{name}" for name in ("page.css", "parts.jinja")}
    pages = [*(ROOT / "browse/server/templates").iterdir(), *(ROOT / "browse/server/static").iterdir()]
    data |= {f"tagmill/{path.relative_to(ROOT)}" for path in pages}
    libraries = {name for name in ours if re.fullmatch(r"tagmill\.libs/libjpeg-[0-9a-f]+\.so[.0-9]*", name)}
    objects = {name for name in ours - libraries if name.endswith(".so")}
    assert ours == sources | data | objects | libraries
    wanted = {name for name, here in COMPILED.items() if here}
    assert {name.partition(".")[0] for name in objects} == wanted, "what setup compiled here, a wheel compiles too"
    assert len(libraries) == 1


def test_one_wheel_is_for_every_python_from_the_first_on(wheel: Path) -> None:
    """`requires-python` promises 3.11 and later; pip goes by the tag, and the linker by each library's own name."""
    names = zipfile.ZipFile(wheel).namelist()
    assert all(name.endswith(".abi3.so") for name in names if name.startswith("tagmill/") and name.endswith(".so"))
    tag = rf"tagmill-{re.escape(version('tagmill'))}-cp311-abi3-manylinux_\d+_\d+_\w+(\.manylinux\w+)*\.whl"
    assert re.fullmatch(tag, wheel.name), wheel.name


def test_it_carries_its_licences_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert all(any(name.endswith(f"licenses/{licence}") for name in names) for licence in LICENCES)
        entry = next(name for name in names if name.endswith("entry_points.txt"))
        assert "tagmill = tagmill.cli:main" in archive.read(entry).decode()


def install_with_small(wheel: Path, python: Path) -> None:
    try:
        pip("--no-deps", "--only-binary=:all:", str(wheel), *SMALL, python=python)
    except FailedError as error:
        pip("--no-deps", "--no-index", str(wheel), python=python)
        pytest.skip(f"{', '.join(SMALL)} cannot be installed here: {str(error).splitlines()[-1]}")


@pytest.mark.slow
@pytest.mark.parametrize("python", pythons().values(), ids=pythons())
def test_every_compiled_module_works_on_every_python(python: Path, wheel: Path, corpus: str, tmp_path: Path) -> None:
    env, jpeg = tmp_path / "env", tmp_path / "a.jpg"
    run(str(python), "-m", "venv", "--without-pip", str(env))
    if python == Path(sys.executable):  # whose packages are here already
        pip("--no-deps", "--no-index", str(wheel), python=env / "bin/python")
        next(env.glob("lib/python*/site-packages")).joinpath("ours.pth").write_text(sysconfig.get_path("platlib"))
    else:
        install_with_small(wheel, env / "bin/python")
    jpeg.write_bytes(picture(1, 200, 160))
    command = [str(env / "bin/python"), "-c", CALLS, str(jpeg), corpus]
    assert run(*command, env=clean_environment(), cwd=tmp_path) == "called\n"


def test_the_loader_reads_a_corpus_from_the_installed_wheel(wheel: Path, corpus: str, tmp_path: Path) -> None:
    pip("--no-deps", "--no-index", "--target", str(tmp_path / "site"), str(wheel))
    command = [sys.executable, "-P", "-c", LOADS, str(tmp_path / "site"), corpus]
    found = run(*command, env=clean_environment(PYTHONPATH=str(tmp_path / "site")), cwd=tmp_path)
    assert found == "21\n"


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installed(request: pytest.FixtureRequest, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment that has tagmill and nothing else."""
    env = tmp_path_factory.mktemp("env") / request.param
    run(sys.executable, "-m", "venv", "--without-pip", str(env))
    if request.param == "wheel":
        pip("--no-deps", "--no-index", str(request.getfixturevalue("wheel")), python=env / "bin/python")
    else:
        tools = env / "tools"  # setuptools alone, which the environment has only while it builds
        tools.mkdir()
        for path in Path(setuptools.__file__).parent.parent.iterdir():
            if re.match(r"setuptools|_distutils_hack", path.name):
                (tools / path.name).symlink_to(path)
        environment = clean_environment(
            PYTHONPATH=str(tools), CC="/nowhere/cc"
        )  # its compiled modules are not looked at
        words = ("--no-deps", "--no-index", "--no-build-isolation", "--editable", str(tree))
        pip(*words, python=env / "bin/python", env=environment)
    yield env


def home_of(env: Path, tree: Path) -> Path:
    """The folder of `tagmill` in an environment."""
    return tree / "python" if env.name == "editable" else next(env.glob("lib/python*/site-packages"))


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For both environments, which have the standard library in common."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.slow
def test_mypy_finds_the_loader(installed: Path, mypy_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER)
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(mypy_cache), "user.py"]
    command += ["--python-executable", str(installed / "bin/python"), "--config-file", os.devnull]
    found = run(*command, env=clean_environment(), cwd=tmp_path)
    assert 'Revealed type is "def (' in found and "-> tagmill.pipeline.loader.Loader" in found


@pytest.mark.slow
def test_pyright_finds_the_loader(installed: Path, tmp_path: Path) -> None:
    """By basedpyright, whose node is a package and no download."""
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "standard"}))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", str(installed / "bin/python")]
    found = json.loads(run(*command, "user.py", env=clean_environment(), cwd=tmp_path))
    messages = [each["message"] for each in found["generalDiagnostics"]]
    assert messages == ['Type of "Loader" is "type[Loader]"'] and found["summary"]["errorCount"] == 0


def test_griffe_finds_the_loader(installed: Path, tree: Path) -> None:
    import griffe

    loader = griffe.GriffeLoader(
        search_paths=[next(installed.glob("lib/python*/site-packages"))], allow_inspection=False
    )
    loader.load("tagmill", submodules=True)
    loader.resolve_aliases()
    found = loader.modules_collection["tagmill.pipeline.Loader"].final_target
    assert found.filepath == home_of(installed, tree) / "tagmill/pipeline/loader.py" and found.docstring is not None
