"""The contract of stores behind a network, in addition to `contract`: what an answer that is lost or late may change."""

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import tagmill.shards.storage.remote.remote_store as store_module
from tagmill.shards.storage.store import Store
from tests.shards.faults import Faults, FaultyProxy

CONTENT = bytes(range(256)) * 5


@dataclass(frozen=True)
class Lost(Faults):
    """Answers with these numbers, from 1, never arrive, but the service has done its work."""

    numbers: tuple[int, ...] = ()
    seen: list[int] = field(default_factory=list)

    def draw(self, generator: random.Random) -> str:
        self.seen.append(len(self.seen) + 1)
        return "reset" if self.seen[-1] in self.numbers else ""


class ProxiedContract:
    """A subclass has fixtures `proxy`, before the service, and `store`, by way of it, with at least 8 quick tries."""

    @pytest.fixture(autouse=True)
    def no_request_is_doubled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Late reads would be asked for twice, and the numbers of answers be others."""
        for name in ("FIRST_SECONDS", "FLOOR_SECONDS"):
            monkeypatch.setattr(f"tagmill.shards.storage.hedge.{name}", 60.0)

    @pytest.mark.parametrize("lost", [(1,), (1, 2), (1, 3), (1, 2, 3, 4)])
    def test_a_put_new_whose_answer_was_lost_has_won(
        self, store: Store, proxy: FaultyProxy, lost: tuple[int, ...]
    ) -> None:
        proxy.faults = Lost(numbers=lost)
        assert store.put_new("x/a", b"mine") is True
        assert proxy.counts()["reset"] == len(lost)
        proxy.faults = Lost(numbers=lost)
        assert store.put_new("x/a", b"mine") is False, "the same bytes, but of an earlier call"
        proxy.faults = Faults()
        assert store.read("x/a") == b"mine" and store.names("") == ["x/a"]

    @pytest.mark.parametrize("lost", [(1,), (2,), (2, 3), (2, 4), (1, 2, 3)])
    def test_an_exchange_whose_answer_was_lost_has_won(
        self, store: Store, proxy: FaultyProxy, lost: tuple[int, ...]
    ) -> None:
        store.put("a", b"old")
        proxy.forget()
        proxy.faults = Lost(numbers=lost)
        assert store.exchange("a", b"old", b"new") is True
        assert proxy.counts()["reset"] == len(lost)
        proxy.faults = Lost(numbers=lost)
        assert store.exchange("a", b"old", b"new") is False
        assert store.exchange("a", b"old", b"other") is False
        proxy.faults = Faults()
        assert store.read("a") == b"new"

    @pytest.mark.parametrize("lost", [(1,), (1, 2)])
    def test_a_put_and_a_delete_whose_answers_were_lost_are_repeated(
        self, store: Store, proxy: FaultyProxy, lost: tuple[int, ...]
    ) -> None:
        proxy.faults = Lost(numbers=lost)
        store.put("x/a", CONTENT)
        assert proxy.counts()["reset"] == len(lost)
        assert store.read("x/a") == CONTENT
        store.put("x/b", b"x")
        proxy.forget()
        proxy.faults = Lost(numbers=lost)
        store.delete("x/a")
        assert proxy.counts()["reset"] == len(lost)
        proxy.faults = Lost(numbers=(1, 2, 3))
        store.delete_below("x")
        proxy.faults = Faults()
        assert store.names("") == []

    @pytest.mark.parametrize("lost", [(1,), (2,), (3,), (4,), (1, 3, 5)])
    def test_a_long_put_whose_answers_were_lost_is_whole(
        self, store: Store, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: tuple[int, ...]
    ) -> None:
        """It has several parts, and is nothing before the last answer."""
        monkeypatch.setattr(store_module, "SMALL_PUT", 10)
        content = random.Random(5).randbytes(20_000_000)
        source = tmp_path / "source"
        source.write_bytes(content)
        proxy.faults = Lost(numbers=lost)
        store.put("a", source)
        assert 1 <= proxy.counts()["reset"] <= len(lost), "parts that a failed one has cancelled may not be counted yet"
        proxy.faults = Faults()
        assert store.read("a") == content and store.names("") == ["a"]

    @pytest.mark.parametrize("trouble", ["busy", "reset", "short"])
    def test_faults_are_retried(self, store: Store, proxy: FaultyProxy, trouble: str) -> None:
        store.put("a", CONTENT)
        proxy.faults = Faults(**{trouble: 0.25}, seed=3)
        for start in range(10):
            assert store.read_range("a", start, start + 900, len(CONTENT)) == CONTENT[start : start + 900]
            assert store.read("a") == CONTENT and store.size("a") == len(CONTENT)
            store.put(f"b/{start}", CONTENT)
            assert store.put_new(f"c/{start}", CONTENT)
            assert store.exchange(f"c/{start}", CONTENT, b"new")
        assert len(store.names("b")) == 10
        store.delete_below("b")
        proxy.faults = Faults()
        assert proxy.counts()[trouble] >= 10
        assert store.names("") == sorted(["a", *(f"c/{i}" for i in range(10))])
        assert all(store.read(f"c/{i}") == b"new" for i in range(10))
