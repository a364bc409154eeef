"""Opens the driver of an address: obstore's for buckets, the Hub's for hf://, fsspec's for every other scheme."""

from typing import Any

from fsspec.core import url_to_fs

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.remote.bucket_driver import BucketDriver
from tagmill.shards.storage.remote.driver import Driver
from tagmill.shards.storage.remote.fsspec_driver import FsspecDriver
from tagmill.shards.storage.remote.hub_driver import HubDriver
from tagmill.shards.storage.remote.places import place_of


def fsspec_filesystem(url: str) -> tuple[Any, str]:
    """Returns the fsspec filesystem of a scheme that obstore does not serve, or of this machine, and the path inside it.

    Keys and endpoints come from fsspec's own configuration. Listings are never cached, so objects that another process
    has just written are visible. Raises StoreError if a package is missing.
    """
    try:
        return url_to_fs(url, use_listings_cache=False)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        remedy = f"install the fsspec package for {url.split('://')[0]}://"
        raise StoreError(f"cannot connect to this store: {error}", url, remedy) from error


def driver_of(url: str) -> tuple[Driver, str]:
    """Returns the driver of a remote URL and the path inside it."""
    if (found := place_of(url)) is not None:
        return BucketDriver(found[0]), found[1]
    if url.startswith("hf://"):
        return HubDriver(), url.removeprefix("hf://")
    fs, path = fsspec_filesystem(url)
    return FsspecDriver(fs), path
