"""Pins takedown rules and blocklists in the store of a run, so that all workers apply the same.

Lists may grow when a run is resumed, but not shrink: images that were refused are not stored, so they cannot be taken back.
"""

from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache

from tagmill.ingest.config.filters import FilterOptions
from tagmill.ingest.filters.blocklist import Blocklist, read_blocklists
from tagmill.ingest.filters.takedown_rules import Denylist, read_denylist
from tagmill.ingest.layout import BLOCKLIST_PIN, TAKEDOWN_PIN
from tagmill.ingest.optional_objects import read_if_there
from tagmill.shards.errors import ConfigError
from tagmill.shards.storage.store import Store


@dataclass(frozen=True)
class PinnedRules:
    """Digests of the pinned lists; a part has those that it was made under."""

    denied: str = ""
    blocked: str = ""  # blocklist entries by sha256 and PDQ
    md5: str = ""  # blocklist entries by md5, which parts do not keep


@dataclass(frozen=True)
class Forbidden:
    """The pinned lists."""

    denied: Denylist
    blocked: Blocklist

    @property
    def by_digest(self) -> bool:
        """Whether an entry names an image by its sha256, or by its key, which is part of it."""
        return bool(self.blocked.sha256) or self.denied.any("key", "sha256")

    def rules(self) -> PinnedRules:
        """Returns their digests."""
        rest = Blocklist(pdq=self.blocked.pdq, sha256=self.blocked.sha256)
        return PinnedRules(
            self.denied.digest if self.denied else "",
            rest.digest if rest else "",
            Blocklist(md5=self.blocked.md5).digest if self.blocked.md5 else "",
        )


def pin_forbidden(config: FilterOptions, store: Store, listed: Denylist) -> Forbidden:
    """Pins the lists of a config, for the workers to read; `listed` has the takedown rules of the extended corpus.

    Raises ConfigError where a list lacks entries that it had when the run began.
    """
    before = read_forbidden(store)
    now = Forbidden(read_denylist(config.takedown) | listed, read_blocklists(config.blocklist))
    for flag, then, given in (
        ("--takedown", _entries(before.denied), _entries(now.denied)),
        ("--blocklist", _entries(before.blocked), _entries(now.blocked)),
    ):
        if missing := then - given:
            what = f"{flag} had {len(then)} entries when this run began and has {len(given)} now: {len(missing)} are missing"
            remedy = "give the lists as they were: they may grow, but images that were refused cannot be taken back"
            raise ConfigError(f"{what}, such as {min(missing)}", store.url, remedy)
    for name, data in ((TAKEDOWN_PIN, now.denied.json()), (BLOCKLIST_PIN, now.blocked.data())):
        if not store.put_new(name, data) and store.read(name) != data:
            store.put(name, data)
    return now


def _entries(of: Denylist | Blocklist) -> Set[str]:
    if isinstance(of, Blocklist):
        return set(of.data().decode().split("\n")) - {""}
    return {f"{rule.kind} {rule.value}" + (f" {rule.distance}" if rule.distance else "") for rule in of.rules}


def read_forbidden(store: Store) -> Forbidden:
    """Reads the pins; empty lists where there are none."""
    denied, blocked = read_if_there(store, TAKEDOWN_PIN), read_if_there(store, BLOCKLIST_PIN)
    return Forbidden(
        Denylist() if denied is None else Denylist.parse(denied),
        Blocklist() if blocked is None else Blocklist.parse(blocked.decode(), BLOCKLIST_PIN),
    )


@lru_cache(maxsize=1)
def forbidden_of(store: Store, rules: PinnedRules) -> Forbidden:
    """Returns the pinned lists with these digests; a worker process reads them once."""
    del rules  # only a key of the cache: other digests, other lists
    return read_forbidden(store)


def read_rules(store: Store) -> PinnedRules:
    """Returns the digests of the pinned lists."""
    return read_forbidden(store).rules()
