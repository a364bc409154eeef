"""Tests the bench of slow images: its workers run, and its shares are those of the rate without order."""

import argparse
from pathlib import Path

import pytest

from tagmill.bench import corpora, slow_pictures
from tagmill.bench.slow_pictures import BEFORE, PEERS, Case, Peer
from tagmill.bench.workers import US
from tests.pipeline.corpora import picture


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slow")
    (folder / "images").mkdir()
    for number in range(128):
        (folder / "images" / f"{number:03d}.jpg").write_bytes(picture(number % 8, 96, 80))
    corpora.make_corpus(folder / "images", folder / "corpus")
    return folder / "corpus"


def options(**changes: object) -> argparse.Namespace:
    return argparse.Namespace(
        **{"cost": 0.1, "threads": 2, "batch": 16, "warm": 1, "batches": 3, "before": None} | changes
    )


@pytest.mark.parametrize("peer", PEERS[:2], ids=lambda peer: peer.name)
def test_a_worker_runs_and_has_a_share(corpus: Path, peer: Peer) -> None:
    case = Case(peer, "", "clumped")
    slow_pictures.measured(case, corpus, options())
    assert case.reason is None, case.reason
    (run,) = case.runs
    assert run["decoded"] > 0 and run["share"] > 0
    assert run["share"] == pytest.approx(run["images_per_second"] * run["decoder_seconds"] / run["decoded"] / 2)


def test_a_checkout_that_is_missing_has_its_reason_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(Peer(BEFORE, "no_such_worker.py", "corpus"), "", "spread")
    for _ in range(2):
        slow_pictures.measured(case, tmp_path, options(before=tmp_path))
    assert case.reason and not case.runs
    slow_pictures.table([case])
    assert "not measured" in capsys.readouterr().out


def test_ratios_compare_shares_at_the_same_place() -> None:
    cases = []
    for place, values in (("spread", (1.0, 0.5)), ("clumped", (0.9, 0.3))):
        for name, value in zip((US, "other"), values, strict=True):
            case = Case(Peer(name, "worker.py", "corpus"), "", place)
            case.runs += [{"share": value, "images_per_second": 10.0, "peak_memory_bytes": 1} for _ in range(3)]
            cases.append(case)
    found, ratios = slow_pictures.as_json(cases)
    assert ratios == {f"spread: {US}/other": 2.0, f"clumped: {US}/other": pytest.approx(3.0)}
    assert found["other, clumped"]["median"] == 0.3 and found["other, clumped"]["runs"] == [0.3] * 3
