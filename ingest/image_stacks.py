"""Checks which image stack (libraries, rules, code) makes the images of a run, because it decides their bytes."""

import json
import logging
from importlib.metadata import version
from typing import Any

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.images.prepare import image_stack
from tagmill.ingest.layout import MIXED_STACKS, STACK_PIN
from tagmill.shards.errors import ConfigError
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.manifest import CorpusFile
from tagmill.shards.storage.store import Store

log = logging.getLogger(__name__)


def pin_stack(config: IngestConfig, store: Store, start_over: str) -> None:
    """Pins the image stack of a run. Raises ConfigError where images were made by another one, as bytes would differ.

    `start_over` says for the message how to give the run up. With --mixed-stack the other stack is only noted.
    """
    stack = {"image_stack": _stack_for(config), "code_version": version("tagmill")}
    mine = json.dumps(stack, sort_keys=True).encode()
    if store.put_new(STACK_PIN, mine) or store.read(STACK_PIN) == mine:
        return
    begun, now = json.loads(store.read(STACK_PIN)), json.loads(mine)
    if has_markers(begun["image_stack"]) != has_markers(now["image_stack"]):
        what = f"this run was begun {'with' if has_markers(begun['image_stack']) else 'without'} restart markers"
        raise ConfigError(what, "--restart-interval", f"leave it out to go on with the run, or {start_over}")
    flat = [stack["image_stack"] | {"tagmill": stack["code_version"]} for stack in (begun, now)]
    if not config.mixed_stack:
        what = f"images are missing, and those that are there were made by another image stack: {mixed_stacks(*flat)}"
        raise ConfigError(what, config.output, f"go on with the same versions, give --mixed-stack, or {start_over}")
    log.warning("this corpus has images of several image stacks: %s", mixed_stacks(*flat))
    store.put(f"{MIXED_STACKS}{sha256_hex(mine)[:12]}.json", mine)


def check_base(config: IngestConfig, file: CorpusFile, where: str) -> None:
    """Raises ConfigError where images of another image stack would be added to a corpus; warns where --mixed-stack is given."""
    differences = mixed_stacks(file.image_stack, _stack_for(config))
    if differences and not config.mixed_stack:
        what = f"its images were made by another image stack: {differences}"
        raise ConfigError(what, where, "use the same versions, or --mixed-stack")
    if differences:
        log.warning("images of another image stack are added to this corpus: %s", differences)


def _stack_for(config: IngestConfig) -> dict[str, str]:
    return image_stack(markers=config.markers != 0)


def has_markers(stack: dict[str, str]) -> bool:
    """Returns whether an image stack was pinned by a run that writes restart markers."""
    return "restart_markers" in stack


def mixed_stacks(then: dict[str, str], now: dict[str, str]) -> str:
    """Returns the differences between two stacks, with both values; empty where they are equal."""
    differ = [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]
    return "; ".join(f"{name} {then.get(name, 'none')} then and {now.get(name, 'none')} now" for name in differ)


def stack_of(store: Store) -> dict[str, str]:
    """Returns the pinned image stack of a run."""
    found: dict[str, str] = json.loads(store.read(STACK_PIN))["image_stack"]
    return found


def stacks_of(store: Store, corpus: CorpusFile | None) -> dict[str, Any]:
    """Returns all image stacks of a run for the lineage; empty where there is one, and an extended corpus has the same."""
    names = [STACK_PIN, *(name for name in store.names("parts") if name.startswith(MIXED_STACKS))]
    found = [json.loads(store.read(name)) for name in names]
    alone = len(found) == 1 and (corpus is None or corpus.image_stack == found[0]["image_stack"])
    return {} if alone else {"image_stacks": found}
