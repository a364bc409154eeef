"""The image stack holds a run while pictures are to be made, and what is mixed is said."""

import json
from pathlib import Path

import pytest

from tagmill.ingest.image_stacks import check_base, has_markers, mixed_stacks, pin_stack, stack_of, stacks_of
from tagmill.ingest.images.prepare import image_stack
from tagmill.ingest.layout import STACK_PIN
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import CorpusFile, Named
from tagmill.shards.storage.store import Store
from tests.ingest.smallweb import config

MARKED = image_stack(markers=True)
OLD = {"code_version": "0.0", "image_stack": {**MARKED, "pillow": "1.0"}}


def test_what_two_stacks_differ_in() -> None:
    assert mixed_stacks({"pillow": "1", "rules": "1"}, {"pillow": "1", "rules": "1"}) == ""
    told = mixed_stacks({"pillow": "1", "jpeg": "3"}, {"pillow": "2", "jpeg": "3", "rules": "2"})
    assert told == "pillow 1 then and 2 now; rules none then and 2 now"


def test_a_stack_is_pinned_and_another_refused_or_recorded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, wanted = Store(str(tmp_path)), config("rows", tmp_path)
    store.put(STACK_PIN, json.dumps(OLD, sort_keys=True).encode())
    with pytest.raises(ConfigError, match=r"pillow 1\.0 then and .* now.*or start over") as caught:
        pin_stack(wanted, store, "start over")
    assert "jpeg" not in caught.value.what  # what is alike is not told
    mixing = config("rows", tmp_path, mixed_stack=True)
    for _ in range(2):
        pin_stack(mixing, store, "start over")
    assert stack_of(store)["pillow"] == "1.0" and "pillow 1.0 then" in caplog.text
    first, second = stacks_of(store, None)["image_stacks"]
    assert first == OLD and second["image_stack"] == MARKED


def test_a_run_under_one_stack_tells_of_none(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for _ in range(2):
        pin_stack(config("rows", tmp_path), store, "start over")
    assert stack_of(store) == MARKED and stacks_of(store, None) == {}


def test_adding_to_a_corpus_of_another_stack_says_what_is_mixed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = CorpusFile("c", Named("", ""), {}, image_stack={**MARKED, "pillow": "1.0"})
    with pytest.raises(ConfigError, match=r"another image stack: pillow 1\.0 then"):
        check_base(config("rows", tmp_path), file, "there")
    check_base(config("rows", tmp_path, mixed_stack=True), file, "there")
    assert "are added to this corpus: pillow 1.0 then" in caplog.text


def test_a_corpus_without_restart_markers_has_the_stack_of_before(tmp_path: Path) -> None:
    """So it is extended without markers under the same libraries, and not with them."""
    without = config("rows", tmp_path, restart_interval=0)
    file = CorpusFile("c", Named("", ""), {}, image_stack=image_stack())
    check_base(without, file, "there")
    with pytest.raises(ConfigError, match=r"restart_markers none then and [0-9a-f]{16} now"):
        check_base(config("rows", tmp_path), file, "there")
    pin_stack(without, store := Store(str(tmp_path)), "start over")
    assert stack_of(store) == image_stack() and not has_markers(image_stack()) and has_markers(MARKED)
    assert {**image_stack(), "restart_markers": MARKED["restart_markers"]} == MARKED
