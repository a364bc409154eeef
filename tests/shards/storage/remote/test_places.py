"""Addresses of buckets as users write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.remote.places import SCHEMES, Place, place_of

NAMES = st.text("abz09-", min_size=1, max_size=9)


@pytest.mark.parametrize(
    ("url", "place", "path"),
    [
        ("s3://bucket", Place("s3", "bucket"), ""),
        ("s3a://bucket/a/b", Place("s3", "bucket"), "a/b"),
        ("gs://bucket/a", Place("gs", "bucket"), "a"),
        ("gcs://bucket/a/", Place("gs", "bucket"), "a/"),
        ("az://box/a", Place("az", "box"), "a"),
        ("abfs://box/a@b", Place("az", "box"), "a@b"),
        ("abfss://box@acc.dfs.core.windows.net/a", Place("az", "box", "acc", "core.windows.net"), "a"),
        ("az://box@acc.blob.core.chinacloudapi.cn/a", Place("az", "box", "acc", "core.chinacloudapi.cn"), "a"),
        (
            "abfss://space@onelake.dfs.fabric.microsoft.com/a",
            Place("az", "space", "onelake", "fabric.microsoft.com"),
            "a",
        ),
    ],
)
def test_forms(url: str, place: Place, path: str) -> None:
    assert place_of(url) == (place, path)


@pytest.mark.parametrize("url", ["memory://a", "hf://datasets/a/b", "http://host/a", "/tmp/a", "S3//a"])
def test_other_schemes_are_not_buckets(url: str) -> None:
    assert place_of(url) is None


@pytest.mark.parametrize(
    "url", ["s3://", "gs:///a", "az://@acc.dfs.core.windows.net/a", "abfss://box@example.com/a", "abfss://box@/a"]
)
def test_addresses_that_name_no_bucket_are_refused_in_one_line(url: str) -> None:
    with pytest.raises(StoreError, match="give ") as caught:
        place_of(url)
    assert "\n" not in str(caught.value) and url in str(caught.value)


@given(st.sampled_from(sorted(SCHEMES)), NAMES, st.text("ab/.@:?#% é", max_size=12))
def test_the_path_is_kept_as_it_is(scheme: str, bucket: str, path: str) -> None:
    assert place_of(f"{scheme}://{bucket}/{path}") == (Place(SCHEMES[scheme], bucket), path)
