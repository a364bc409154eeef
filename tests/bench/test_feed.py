"""Tests loading for a pretended decoder: the workers run, and their figures become ratios."""

from pathlib import Path

import pytest

from tagmill.bench import corpora, feed
from tagmill.bench.workers import US, Case, Peer
from tests.pipeline.corpora import picture

READY = 8  # batches that a loader has ready at most
FLAGS = ["--batch=32", "--warm=1", "--batches=4", "--streams=2", "--threads=2"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("feed")
    (folder / "images").mkdir()
    for number in range(512):
        (folder / "images" / f"{number:03d}.jpg").write_bytes(picture(number % 8, 96, 80))
    corpora.make_corpus(folder / "images", folder / "corpus")
    return folder / "corpus"


@pytest.mark.parametrize("peer", [peer for peer in feed.FEEDS if not peer.environment], ids=lambda peer: peer.name)
def test_a_decoder_is_fed_at_its_rate_and_no_faster(corpus: Path, peer: Peer) -> None:
    case = Case(peer, "2,000/s")
    feed.measured(case, 2000, corpus, [*FLAGS, "--batches=24"])
    assert case.reason is None
    (run,) = case.runs
    assert run["images_per_second"] * run["seconds"] == pytest.approx(24 * 32)
    # Batches that were ready when the clock started took none of its time, and the decoder holds two when it stops.
    assert run["seconds"] >= (24 - READY - 2) * 32 / 2000 * 0.99
    assert (
        run["lock_wait_us"] > 0 and run["cpu_seconds_per_1000_images"] >= 0
    )  # the unit of measurement is a hundredth of a second


def test_a_peer_that_cannot_run_is_in_the_table_with_its_reason(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(Peer("nobody", "no_such_worker.py", "corpus"), "at once")
    for _ in range(2):
        feed.measured(case, 0, corpus, FLAGS)
    assert case.reason and not case.runs
    feed.table({(case.peer, 0.0): case})
    assert "nobody" in (said := capsys.readouterr().out) and "not measured" in said


def test_ratios_compare_ours_with_peers_at_the_same_rate(capsys: pytest.CaptureFixture[str]) -> None:
    peers = [Peer(US, "tagmill_feed.py", "corpus"), Peer("other", "other.py", "corpus")]
    cases = {}
    for rate, name in ((0.0, "at once"), (100.0, "100/s")):
        for number, peer in enumerate(peers, 1):
            case = cases[peer, rate] = Case(peer, name)
            for speed in (number * 10.0, number * 10.0, number * 90.0):
                figures = {"lock_wait_us": 1.0, "peak_memory_bytes": 1, "seconds": 1.0, "versions": {}}
                case.runs.append({"images_per_second": speed, "cpu_seconds_per_1000_images": 0.5 * number, **figures})
    found, ratios = feed.as_json(cases)
    assert ratios == {
        f"{name}: {what}": value
        for name in ("at once", "100/s")
        for what, value in ((f"{US}/other", 0.5), (f"CPU other/{US}", 2.0))
    }
    assert found["100/s, other"]["images_per_second"] == 20.0
    feed.table(cases)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[-5:-3] for line in lines[3:5]] == [["10", "0.10"], ["20", "0.20"]]
