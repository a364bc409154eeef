"""The one-name guard: a room is `tagmill.shards`, never `shards`, or one module would live twice under two names.

A cache folder of the tests' own. And what several processes of one test run need: an order, and a bound on threads."""

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from PIL import Image

from tagmill.training.parallel import garbage
from tests.ingest.one_spark import one_spark
from tests.shards.azurite import azure_container, azurite
from tests.shards.gcs_server import gcs
from tests.shards.hub_server import hub
from tests.shards.objectstore import never_late, s3_bucket, s3_service
from tests.warm.workers import preload_the_server_of_workers

# Here alone: each module that imports them would have services of its own.
__all__ = ["azure_container", "azurite", "gcs", "hub", "never_late", "one_spark", "s3_bucket", "s3_service"]

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch comes in; for the processes that tests begin, too
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests begin hundreds of short Python and Java processes. Bytecode is kept, so that not each of them compiles this package, and
# Java is content with its quick compiler, half the CPU seconds of a Spark session that lives for a minute. It does not verify
# Spark's classes, thousands that are loaded each time.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
os.environ.setdefault("JAVA_TOOL_OPTIONS", JAVA)
os.environ.setdefault("SPARK_CONF_DIR", str(Path(__file__).parent / "spark_conf"))

# A shell that runs the tests in the background has them ignore interrupts, which processes inherit. Tests send interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("tagmill", deadline=None)  # how long an example takes says something of the machine only
settings.load_profile("tagmill")

USUAL_PIXELS = Image.MAX_IMAGE_PIXELS
ROOMS = {"shards", "ingest", "pipeline", "transfer", "studies", "demo", "examples", "train", "browse", "pages", "cli"}


class BareNameGuard(MetaPathFinder):
    """Refuses the import of a room by its folder's name, which the repository root on sys.path would allow."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None and fullname in ROOMS:
            raise ModuleNotFoundError(f"import tagmill.{fullname}: the rooms have one name", name=fullname)
        return None


sys.meta_path.insert(0, BareNameGuard())


def pytest_collection() -> None:
    """Thousands of modules and tests come in, and none of them goes: looking for garbage among them takes seconds."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What was collected stays for the whole run, so that no later search for garbage, here or in a fork, looks at it again."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first, so that no process has a long one left when the others are done."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Says which files go to one process; None: xdist chooses."""
    from tests.warm.one_worker import SparkTogether

    return SparkTogether(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def no_bare_rooms() -> None:
    """Nothing may have come in under a bare name before the guard stood."""
    assert not ROOMS & set(sys.modules)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Loaders share tables in the user's cache folder; the tests leave it alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def workers_that_begin_with_their_imports() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        preload_the_server_of_workers(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def without_waiting_for_the_disk() -> Iterator[None]:
    """Only a loss of power could show what was not synchronised: what a killed process wrote is in the system's memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def without_searching_all_modules_for_garbage() -> Iterator[None]:
    """Each run of the trainer would begin with it, in a process that has everything imported; Python still does so by itself
    between runs. Processes that tests begin are as ever."""
    names = ("isenabled", "enable", "disable", "freeze", "unfreeze")
    with pytest.MonkeyPatch.context() as patch:
        kept = {name: getattr(gc, name) for name in names}
        patch.setattr(garbage, "gc", SimpleNamespace(collect=lambda: 0, **kept))
        yield


@pytest.fixture(scope="module", autouse=True)
def usual_bound_of_pictures() -> None:
    """Ingest bounds the pixels of a picture for its whole process; a file knows nothing of those that came before it."""
    Image.MAX_IMAGE_PIXELS = USUAL_PIXELS
