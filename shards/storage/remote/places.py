"""Parses the addresses of buckets: which service, which bucket, and for Azure which account.

| address | service |
| --- | --- |
| `s3://bucket/path`, `s3a://bucket/path` | S3 and services that speak it |
| `gs://bucket/path`, `gcs://bucket/path` | Google Cloud Storage |
| `az://container/path`, `abfs://container/path`, `abfss://container/path` | Azure, the account from the environment |
| `abfss://container@account.dfs.core.windows.net/path`, also with `abfs`, `az` and `blob.core.windows.net` | Azure |
"""

import re
from dataclasses import dataclass
from typing import Literal

from tagmill.shards.errors import StoreError

Service = Literal["s3", "gs", "az"]
SCHEMES: dict[str, Service] = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "abfs": "az",
    "abfss": "az",
}
_FORMS = {"s3": "s3://BUCKET/PATH", "gs": "gs://BUCKET/PATH", "az": "az://CONTAINER/PATH"}
_ACCOUNT = re.compile(r"(?P<account>[a-z0-9-]+)\.(?:dfs|blob)\.(?P<cloud>[a-z0-9.-]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket of a service. Of Azure also the `account` and its `cloud` (`core.windows.net`), if the address names
    them."""

    service: Service
    bucket: str
    account: str = ""
    cloud: str = ""


def place_of(url: str) -> tuple[Place, str] | None:
    """Returns the bucket that a URL names and the path inside it; None for other schemes. Raises StoreError for an
    address without a bucket."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        return None
    service = SCHEMES[scheme]
    bucket, _, path = rest.partition("/")
    account = cloud = ""
    if service == "az" and "@" in bucket:
        bucket, _, host = bucket.partition("@")
        found = _ACCOUNT.fullmatch(host)
        if found is None:
            remedy = "give abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
            raise StoreError(f"{host!r} names no account of Azure", url, remedy)
        account, cloud = found["account"], found["cloud"]
    if not bucket:
        raise StoreError("an address without a bucket", url, f"give {_FORMS[service]}")
    return Place(service, bucket, account, cloud), path
