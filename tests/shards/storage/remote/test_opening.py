"""Which driver opens which address, what the extras install, and what a user is asked to do where a package is missing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.remote.bucket_driver import BucketDriver
from tagmill.shards.storage.remote.clients import SERVICE_EXTRAS
from tagmill.shards.storage.remote.fsspec_driver import FsspecDriver
from tagmill.shards.storage.remote.opening import driver_of
from tagmill.shards.storage.remote.places import SCHEMES, Place

PROJECT = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_buckets_are_opened_by_obstore_and_the_rest_by_fsspec() -> None:
    assert driver_of("gs://bucket/a/b") == (BucketDriver(Place("gs", "bucket")), "a/b")
    driver, path = driver_of("memory://a/b")
    assert isinstance(driver, FsspecDriver) and path == "/a/b"


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_the_extra_of_a_scheme_installs_obstore(scheme: str) -> None:
    packages = {Requirement(line).name for line in EXTRAS[SERVICE_EXTRAS[SCHEMES[scheme]]]}
    assert "obstore" in packages and not packages & {"s3fs", "gcsfs", "adlfs"}


def test_all_is_every_extra_that_can_be_installed_together() -> None:
    (every,) = (Requirement(line) for line in EXTRAS["all"])
    assert every.name == "tagmill" and every.extras == EXTRAS.keys() - {"all", "dali-cu12"}


@pytest.mark.parametrize(
    ("url", "extra"), [("s3://b/a", "s3"), ("gs://b/a", "gcs"), ("abfss://b@a.dfs.core.windows.net/a", "azure")]
)
def test_a_missing_package_names_its_extra(url: str, extra: str) -> None:
    code = (
        "import sys\nsys.modules['obstore'] = None\nfrom tagmill.shards import Store, StoreError\n"
        "try:\n    Store(sys.argv[1]).read('x')\nexcept StoreError as error:\n    print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, timeout=60, check=True)
    assert f"pip install 'tagmill[{extra}]'" in ended.stdout and ended.stdout.count("\n") == 1


def test_an_unknown_scheme_is_one_line() -> None:
    with pytest.raises(StoreError, match=r"cannot connect to this store.*install the fsspec package for nosuch://"):
        driver_of("nosuch://bucket/a")
