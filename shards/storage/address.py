"""Parses addresses: a path of this machine, or a store and a path inside it."""

from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from tagmill.shards.errors import ConfigError, StoreError
from tagmill.shards.storage.remote.bucket_driver import BucketDriver
from tagmill.shards.storage.remote.driver import Driver
from tagmill.shards.storage.remote.fsspec_driver import FsspecDriver
from tagmill.shards.storage.remote.hub_driver import HubDriver
from tagmill.shards.storage.remote.places import place_of
from tagmill.shards.storage.remote.s3_credentials import keys_needed

# The extra whose package opens a scheme. fsspec has a driver for many more; these are the ones that the extras install.
EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}


def is_local(url: str) -> bool:
    """Returns True for a path or file:// URL, which the operating system serves without fsspec."""
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> Path:
    """Returns the absolute path of a local URL. Raises ConfigError for a ~ without a home folder."""
    path = Path(url.removeprefix("file://"))
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:  # a container's user without a passwd entry
        raise ConfigError("there is no home folder for ~", url, "set HOME, or give the whole path") from error


def handle(url: str) -> tuple[Any, str]:
    """Returns the fsspec filesystem and the path inside it for `url`; readers of tables use it.

    Credentials and endpoints come from the usual environment of each store (AWS_*, GOOGLE_*, fsspec's config files).
    Listings are never cached, so objects that another process has just written are visible. Raises StoreError if a
    package or keys are missing.
    """
    options = {"anon": not keys_needed()} if url.startswith("s3://") else {}
    try:
        location = str(local_path(url)) if is_local(url) else url
        return url_to_fs(location, use_listings_cache=False, **options)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        raise StoreError(f"cannot connect to this store: {error}", url, _remedy(url.split("://")[0], error)) from error


def _remedy(scheme: str, error: Exception) -> str:
    if scheme not in EXTRAS:
        return f"install the fsspec package for {scheme}://"
    if isinstance(error, ImportError) or "not known" in str(error):  # adlfs registers some of its schemes itself
        return f"pip install 'tagmill[{EXTRAS[scheme]}]'"
    return f"set the variables that name the account of {scheme}://, such as AZURE_STORAGE_ACCOUNT_NAME"


def driver_of(url: str) -> tuple[Driver, str]:
    """Returns the driver of a remote URL and the path inside it."""
    if (found := place_of(url)) is not None:
        return BucketDriver(found[0]), found[1]
    if url.startswith("hf://"):
        return HubDriver(), url.removeprefix("hf://")
    fs, path = handle(url)
    return FsspecDriver(fs), path
