"""Lists that a run is held to: they grow, and never shrink."""

from pathlib import Path

import pytest

from tagmill.ingest.filters.pinned import forbidden_of, pin_forbidden, read_forbidden, read_rules
from tagmill.ingest.filters.takedown_rules import Denylist, TakedownRule
from tagmill.shards.errors import ConfigError
from tagmill.shards.storage.store import Store
from tests.ingest.smallweb import config

SHA, MD5 = "a" * 64, "b" * 32


def test_lists_grow_and_each_digest_says_what_of_them_has(tmp_path: Path) -> None:
    rules, hashes, store = tmp_path / "rules", tmp_path / "hashes", Store(str(tmp_path / "corpus"))
    wanted = config("rows", tmp_path / "corpus", takedown=(str(rules),), blocklist=(str(hashes),))
    rules.write_text("host a.example\n")
    hashes.write_text(f"sha256:{SHA}\n")
    first = pin_forbidden(wanted, store, Denylist())
    assert pin_forbidden(wanted, store, Denylist()) == first == read_forbidden(store)
    assert first.rules() == read_rules(store) and first.rules().md5 == ""
    assert forbidden_of(store, read_rules(store)) == first
    hashes.write_text(f"md5:{MD5}\nsha256:{SHA}\n")
    second = pin_forbidden(wanted, store, Denylist())
    assert (second.rules().denied, second.rules().blocked) == (first.rules().denied, first.rules().blocked)
    assert second.rules().md5 and forbidden_of(store, read_rules(store)) == second
    listed = Denylist(frozenset([TakedownRule("key", "c" * 32)]))
    third = pin_forbidden(wanted, store, listed)
    assert third.denied.rules == second.denied.rules | listed.rules and third.rules().md5 == second.rules().md5


@pytest.mark.parametrize("flag", ["takedown", "blocklist"])
def test_a_list_without_an_entry_of_before_is_refused_and_nothing_changes(tmp_path: Path, flag: str) -> None:
    path, store = tmp_path / "list", Store(str(tmp_path / "corpus"))
    path.write_text("host a.example\npdq " + SHA if flag == "takedown" else f"md5:{MD5}\nsha256:{SHA}\n")
    wanted = config("rows", tmp_path / "corpus", **{flag: (str(path),)})
    pinned = pin_forbidden(wanted, store, Denylist())
    path.write_text("pdq " + SHA if flag == "takedown" else f"sha256:{SHA}\n")
    missing = "host a.example" if flag == "takedown" else f"md5:{MD5}"
    with pytest.raises(ConfigError, match=f"--{flag} had 2 entries .* has 1 now: 1 are missing, such as {missing}"):
        pin_forbidden(wanted, store, Denylist())
    assert read_forbidden(store) == pinned


def test_nothing_is_forbidden_where_nothing_is_pinned(tmp_path: Path) -> None:
    found = read_forbidden(Store(str(tmp_path)))
    assert not found.denied and not found.blocked and read_rules(Store(str(tmp_path))) == found.rules()
