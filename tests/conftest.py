"""The one-name guard: a room is `tagmill.shards`, never `shards`, or one module would live twice under two names.

And a cache folder of the tests' own."""

import os
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from hypothesis import settings

settings.register_profile("tagmill", deadline=None)  # how long an example takes says something of the machine only
settings.load_profile("tagmill")

ROOMS = {"shards", "ingest", "pipeline", "transfer", "studies", "demo", "examples", "train", "cli"}


class BareNameGuard(MetaPathFinder):
    """Refuses the import of a room by its folder's name, which the repository root on sys.path would allow."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None and fullname in ROOMS:
            raise ModuleNotFoundError(f"import tagmill.{fullname}: the rooms have one name", name=fullname)
        return None


sys.meta_path.insert(0, BareNameGuard())


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
