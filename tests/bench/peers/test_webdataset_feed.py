"""Tests how webdataset is given the tars of a bucket."""

import argparse
import shlex

import pytest

pytest.importorskip("webdataset")
pytest.importorskip("torchvision")

from webdataset.gopen import gopen_schemes

from tagmill.bench import corpora
from tagmill.bench.peers import webdataset_feed


def options(data: str, opener: str = "") -> argparse.Namespace:
    return argparse.Namespace(data=data, choices={"opener": opener} if opener else {})


def test_tars_of_a_folder_are_their_paths() -> None:
    assert webdataset_feed.tars(options("/data/corpus")) == corpora.shards("/data/corpus", ".tar")


def test_a_pipe_is_a_command_with_a_signed_url(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:80"}
    for name, value in {**place, "AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "no-secret"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    first, *_ = found = webdataset_feed.tars(options("s3://bench/corpus", "pipe"))
    assert len(found) == corpora.SHARDS
    assert first.startswith("pipe:curl ") and "no-secret" not in first
    url = shlex.split(first)[-1]
    assert url.startswith("http://127.0.0.1:80/bench/corpus/shards/000000.tar?") and "ignature=" in url


def test_fsspec_opens_urls_of_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(gopen_schemes, "s3", raising=False)
    found = webdataset_feed.tars(options("s3://bench/corpus", "fsspec"))
    assert found[0] == "s3://bench/corpus/shards/000000.tar"
    assert gopen_schemes.pop("s3") is webdataset_feed.from_s3
