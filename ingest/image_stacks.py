"""Which image stacks make the pictures of a run: libraries, rules and code decide bytes, so that they are held while pictures
are still to be made."""

import json
import logging
from importlib.metadata import version
from typing import Any

from tagmill.ingest.config.run import RunOptions
from tagmill.ingest.images.prepare import image_stack
from tagmill.ingest.layout import MIXED_STACKS, STACK_PIN
from tagmill.shards.errors import ConfigError
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.manifest import CorpusFile
from tagmill.shards.storage.store import Store

log = logging.getLogger(__name__)


def hold_stack(config: RunOptions, store: Store, over: str) -> None:
    """Refuses a run whose pictures were begun by other code, as their bytes would differ; `over` says how to start over."""
    mine = json.dumps({"image_stack": image_stack(), "code_version": version("tagmill")}, sort_keys=True).encode()
    if store.put_new(STACK_PIN, mine) or store.read(STACK_PIN) == mine:
        return
    begun, now = json.loads(store.read(STACK_PIN)), json.loads(mine)
    flat = [told["image_stack"] | {"tagmill": told["code_version"]} for told in (begun, now)]
    if not config.mixed_stack:
        what = f"pictures are still to be made, and those that are there were made by other code: {mixed_stacks(*flat)}"
        raise ConfigError(what, config.output, f"go on with the same versions, give --mixed-stack, or {over}")
    log.warning("pictures of several image stacks are in this corpus: %s", mixed_stacks(*flat))
    store.put(f"{MIXED_STACKS}{sha256_hex(mine)[:12]}.json", mine)


def check_base(config: RunOptions, file: CorpusFile, where: str) -> None:
    """Refuses to add pictures of another image stack to a corpus, or says what is mixed."""
    told = mixed_stacks(file.image_stack, image_stack())
    if told and not config.mixed_stack:
        what = f"its pictures were made by another image stack: {told}"
        raise ConfigError(what, where, "use the same versions, or --mixed-stack")
    if told:
        log.warning("pictures of another image stack are added to this corpus: %s", told)


def mixed_stacks(then: dict[str, str], now: dict[str, str]) -> str:
    """What two stacks differ in, with both values; empty where they are one."""
    differ = [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]
    return "; ".join(f"{name} {then.get(name, 'none')} then and {now.get(name, 'none')} now" for name in differ)


def stack_of(store: Store) -> dict[str, str]:
    """The image stack that began a run's pictures."""
    found: dict[str, str] = json.loads(store.read(STACK_PIN))["image_stack"]
    return found


def stacks_of(store: Store, corpus: CorpusFile | None) -> dict[str, Any]:
    """All that made pictures of a run, for `lineage`: where they were several, or the corpus that it extends has another."""
    names = [STACK_PIN, *(name for name in store.names("parts") if name.startswith(MIXED_STACKS))]
    found = [json.loads(store.read(name)) for name in names]
    alone = len(found) == 1 and (corpus is None or corpus.image_stack == found[0]["image_stack"])
    return {} if alone else {"image_stacks": found}
