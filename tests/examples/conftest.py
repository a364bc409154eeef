"""A corpus of 55 images, so four batches an epoch, and of 20 held-out ones; the losses of an undisturbed run."""

import pytest

from tests.examples.running import run_here
from tests.pipeline.corpora import Made, make_corpus


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("examples"), [30, 25], holdout=[20])


@pytest.fixture(scope="session")
def undisturbed(made: Made, tmp_path_factory: pytest.TempPathFactory) -> dict[int, float]:
    """Runs the plain loop; the other examples compute the same."""
    output = tmp_path_factory.mktemp("undisturbed") / "new" / "folder"
    found = run_here("plain_loop.py", made.url, output, 9)
    assert list(found) == list(range(1, 10))
    return found
