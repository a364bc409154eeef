"""Tests the comparison of a whole ingest into a bucket with one onto the disk: ratios of pairs, and that it runs."""

import argparse
from pathlib import Path

import pytest

from tagmill.bench import against_disk
from tagmill.bench.against_disk import APART, BUCKET, DISK, OURS, SECONDS, SERVER
from tests.shards.objectstore import missing_programs


def run(seconds: float, ours: float, server: float = 0.0) -> dict[str, float]:
    return {SECONDS: seconds, OURS: ours, SERVER: server, APART: seconds - server / 2}


def test_ratios_are_medians_over_pairs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    runs = {
        DISK: [run(10, 20), run(20, 20), run(10, 30)],
        BUCKET: [run(11, 22, 2), run(24, 21, 4), run(13, 39, 6)],  # ratios 1.1, 1.2, 1.3 of seconds
    }
    found = against_disk.quotients(runs)
    assert found == pytest.approx({SECONDS: 1.2, OURS: 1.1, APART: 1.0})
    against_disk.conclude(runs, tmp_path / "found.json")
    said = capsys.readouterr().out
    assert "bucket/disk, seconds: 1.200, at most 1.15 wanted: TOO MUCH" in said
    assert "bucket/disk, CPU seconds: 1.100, at most 1.15 wanted\n" in said
    assert '"bucket/disk, CPU seconds": 1.1' in (tmp_path / "found.json").read_text()


@pytest.mark.slow
@pytest.mark.skipif(bool(missing_programs()), reason="no S3 service here")
def test_a_pair_is_run(tmp_path: Path) -> None:
    from tagmill.bench.nginx import program
    from tests.pipeline.corpora import picture

    program()
    (tmp_path / "images").mkdir()
    for number in range(4):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(picture(number, 96, 80))
    options = argparse.Namespace(images=tmp_path / "images", count=40, pairs=1, processes=2, out=None)
    found = against_disk.compare(options)
    ((here,), (there,)) = found[DISK], found[BUCKET]
    assert here[SERVER] < there[SERVER] and min(here[OURS], there[OURS]) > 0
    assert there[APART] < there[SECONDS]
