"""Tests feeding from S3: what obstore alone reads is what our run asked for, and figures become ratios."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.bench import corpora, feed, feed_s3
from tagmill.bench.feed_s3 import ALL, ALONES, LABELLED, PICTURES, Recorder
from tagmill.bench.late_proxy import Asked
from tagmill.bench.workers import US, Case, Peer
from tests.pipeline.corpora import picture
from tests.shards.objectstore import missing_programs

TAR = "/bench/corpus/shards/000003.tar"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("feed")
    for number in range(256):
        (found / "images").mkdir(exist_ok=True)
        (found / "images" / f"{number:03d}.jpg").write_bytes(picture(number % 8, 96, 80))
    corpora.make_corpus(found / "images", found / "corpus")
    return found


def asked(path: str, start: int, stop: int, **other: Any) -> Asked:
    given = {"number": 0, "method": "GET", "status": 206, "fault": "", "size": stop - start}
    return Asked(path=path, range=f"bytes={start}-{stop - 1}", **{**given, **other})


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 30))
def test_a_range_is_parsed(start: int, length: int) -> None:
    assert feed_s3.parsed(f"bytes={start}-{start + length - 1}") == (start, start + length)


def test_pictures_of_a_range_are_those_that_begin_there(folder: Path) -> None:
    recorder = Recorder(folder / "corpus")
    offsets = np.load(folder / "corpus" / "shards" / "000003.npy")["offset"].tolist()
    assert len(offsets) == 8
    end = (folder / "corpus" / "shards" / "000003.tar").stat().st_size
    requests = [asked(TAR, offsets[2], offsets[5]), asked(TAR, offsets[0], end), asked(TAR, offsets[7], offsets[7] + 9)]
    assert [found[3] for found in recorder.ranges(requests, PICTURES)] == [3, 8, 1]


def test_ranges_are_our_requests_in_order(folder: Path) -> None:
    """Without those of the start, failed ones and second requests for a late answer."""
    size = (folder / "corpus" / "shards" / "000003.tar").stat().st_size
    index = "/bench/corpus/shards/000003.npy"
    requests = [
        asked("/bench/corpus/corpus.json", 0, 100),
        asked(index, 10, 20),
        asked(TAR, 0, size, fault="short"),
        asked(TAR, 0, size),
        asked(index, 20, 30),
        asked(index, 20, 30),
        Asked(9, "GET", f"{TAR.replace('3.tar', '4.npy')}?x=1", "", 200, 77, ""),
        asked(TAR, 0, size // 2),
        asked(TAR, 0, size),
        asked(index, 40, 50, status=404),
        asked(index, 50, 60, method="HEAD"),
    ]
    recorder, tar = Recorder(folder / "corpus"), "corpus/shards/000003.tar"
    pictures, everything = recorder.ranges(requests, PICTURES), recorder.ranges(requests, ALL)
    assert [found[:3] for found in pictures] == [(tar, 0, size), (tar, 0, size // 2)]
    rows = ("corpus/shards/000003.npy", 20, 30, 0), ("corpus/shards/000004.npy", 0, 77, 0)
    assert everything == [pictures[0], *rows, pictures[1]]


def test_the_next_epoch_reads_a_range_again(folder: Path) -> None:
    requests = [asked(TAR, number, number + 5000) for number in range(feed_s3.AGAIN + 1)] * 2
    assert len(Recorder(folder / "corpus").ranges(requests, ALL)) == len(requests)


def case(peer: Peer, place: str, rate: float, cpu: float) -> Case:
    found = Case(peer, "at once", place)
    figures = ("requests", "answered_bytes", "failed_requests", "service_cpu_seconds", "proxy_cpu_seconds")
    for number in (1, 1, 7):
        run = {feed_s3.RATE: rate * number, feed_s3.CPU: cpu, "seconds": 2.0, "most_in_flight": 9}
        found.runs.append({**run, **dict.fromkeys(figures, 20.0), "peak_memory_bytes": 1, "lock_wait_us": 1.0})
    return found


def test_ratios_are_those_of_one_place_and_of_obstores_faster_way(capsys: pytest.CaptureFixture[str]) -> None:
    ours, other = feed_s3.FEEDS[0], Peer("other", "other.py", "corpus")
    threads, asyncio = ALONES[:2]
    cases = [
        case(ours, "S3", 10.0, 0.5),
        case(threads, "S3", 40.0, 0.25),
        case(asyncio, "S3", 20.0, 0.125),
        case(other, "S3", 5.0, 1.5),
        case(ours, "S3, 20 ms", 10.0, 0.5),
        case(other, "S3, 20 ms", 20.0, 0.5),
    ]
    absent = Case(Peer("absent", "absent.py", "corpus"), "at once", "S3", reason="not installed")
    assert feed_s3.ratios([*cases, absent]) == {
        f"at once, S3: {US}/obstore alone, pictures": 0.25,
        f"at once, S3: CPU obstore alone, pictures/{US}": 0.5,
        f"at once, S3: {US}/other": 2.0,
        f"at once, S3: CPU other/{US}": 3.0,
        f"at once, S3, 20 ms: {US}/other": 0.5,
        f"at once, S3, 20 ms: CPU other/{US}": 1.0,
    }
    feed_s3.table([*cases, absent])
    lines = capsys.readouterr().out.splitlines()
    assert "not measured: not installed" in lines[-1]
    # 20 requests and 20 bytes for the 20 images of a usual run, in seconds of the service a million microseconds each
    assert lines[2].split()[-9:] == ["10", "500.0", "1000.0", "0.0", "20", "9", "1000000.0", "1000000.0", "0"]


@pytest.mark.skipif(bool(missing_programs()), reason="no S3 service here (Debian: ceph-mon ceph-osd radosgw)")
def test_a_quick_run_feeds_from_a_failing_store(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(corpora, "prepare", lambda pictures, samples: folder)
    flags = ["--quick", "--rounds=1", "--store=s3", f"--images={folder / 'images'}", f"--out={tmp_path / 'out.json'}"]
    monkeypatch.setattr(sys, "argv", ["feed.py", *flags])
    feed.main()
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["name"] == "feed-s3" and len(found["cases"]) == 2 + len(ALONES)
    for name, line in found["cases"].items():
        assert line["median"] > 0 and "reason" not in line, name
        assert line["most_in_flight"] > 1
    rates = {f"{US}/obstore alone, {what}" for what in (PICTURES, ALL)} | {f"{US}/{LABELLED.name}"}
    costs = {f"CPU obstore alone, {what}/{US}" for what in (PICTURES, ALL)} | {f"CPU {LABELLED.name}/{US}"}
    ratios = {name.split(": ")[1] for name in found["ratios"]}
    ours = next(line for name, line in found["cases"].items() if f"{US}, S3" in name)
    # A short run may cost less than a tick of the clock.
    assert ratios == (rates | costs if ours["cpu_seconds_per_1000_images"] else rates)
    assert "service us" in capsys.readouterr().out


def test_only_the_chosen_peers_are_measured() -> None:
    chosen = argparse.Namespace(only=["litdata", "pipe"], quick=False)
    names = [peer.name for peer in feed_s3.FEEDS if feed_s3.wanted(peer, chosen)]
    assert names == [US, LABELLED.name, *(peer.name for peer in ALONES), "webdataset (pipe)", "LitData"]
    assert all(feed_s3.wanted(peer, argparse.Namespace(only=None, quick=False)) for peer in feed_s3.FEEDS)
