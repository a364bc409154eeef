"""Tests which checkpoints a run continues from, which are kept, and that a whole one is always there."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tagmill.shards import ConfigError, Store, TagmillError
from tagmill.shards.vocabulary import Label, Vocabulary
from tagmill.training.checkpoints.checkpoint import FREE, NEWEST, find, identity, kept, restore, save
from tagmill.training.config.train import TrainConfig


def saved_bytes(value: object) -> bytes:
    torch.save(value, sink := io.BytesIO())
    return sink.getvalue()


def test_a_checkpoint_is_compared_by_the_synsets_of_its_classes(tmp_path: Path) -> None:
    """Names and counts of labels do not matter; older checkpoints, which have the whole file's digest, are accepted
    too."""
    labels = (Label(0, "cat", ("n02121620",), ("cat",), {"cat": 3}, 3), Label(1, "dog", ("n02084071",), ("dog",)))
    here = Vocabulary(labels)
    renamed = Vocabulary((replace(labels[0], name="kitty", images=4), labels[1]))
    config, path = TrainConfig(), tmp_path / "checkpoint.pt"
    wanted = identity(config, here)
    assert identity(config, renamed) == wanted
    assert identity(config, Vocabulary((replace(labels[0], synsets=("n02121808",)), labels[1]))) != wanted
    before = {**wanted, "vocabulary": hashlib.sha256(here.json()).hexdigest()}
    path.write_bytes(saved_bytes({"identity": before}))
    assert restore(path, wanted, here)["identity"] == before
    with pytest.raises(TagmillError, match="vocabulary is"):
        restore(path, identity(config, renamed), renamed)


def test_a_checkpoint_of_before_has_its_batches_joined(tmp_path: Path) -> None:
    """The loader of an older run with accumulation gave the parts of a step."""
    config, path = TrainConfig(batch_size=24, accumulation=3), tmp_path / "checkpoint.pt"
    wanted = identity(config, Vocabulary(()))
    content = {"identity": {**wanted, "accumulation": 4}, "loader": {"batch_size": 6, "turn": 48}}
    path.write_bytes(saved_bytes(content))
    assert restore(path, wanted, Vocabulary(()))["loader"] == {"batch_size": 24, "turn": 48}
    path.write_bytes(saved_bytes({"identity": wanted, "loader": {"batch_size": 24}}))
    assert restore(path, wanted, Vocabulary(()))["loader"] == {"batch_size": 24}


def test_what_may_change_is_no_part_of_a_run() -> None:
    vocabulary, config = Vocabulary(()), TrainConfig()
    for name, value in {"accumulation": 2, "precision": "bf16", "compile": True, "keep": 9, "device": "cpu"}.items():
        assert name in FREE and identity(replace(config, **{name: value}), vocabulary) == identity(config, vocabulary)  # type: ignore[arg-type]
    assert identity(replace(config, clip=1.0), vocabulary) != identity(config, vocabulary)
    assert set(TrainConfig.__dataclass_fields__) >= FREE


def content_of(step: int) -> dict[str, Any]:
    return {"identity": {}, "step": step, "model": {"w": torch.full((3,), step)}}


def test_the_newest_are_kept_and_those_of_a_given_up_future_are_not(tmp_path: Path) -> None:
    store, output = Store(str(tmp_path)), str(tmp_path)
    for step in (3, 6, 9, 12):
        save(store, output, content_of(step), keep=3)
    assert sorted(kept(output)) == [6, 9, 12]
    assert find(output, "auto") == tmp_path / NEWEST and find(output, "never") is None
    assert torch.load(find(output, "9") or "", weights_only=True)["step"] == 9
    with pytest.raises(ConfigError, match=r"no checkpoint of step 3 .*6, 9, 12"):
        find(output, "3")
    save(store, output, content_of(8), keep=3)  # the run went back to step 6
    assert sorted(kept(output)) == [6, 8]
    assert torch.load(tmp_path / NEWEST, weights_only=True)["step"] == 8
    assert find(str(tmp_path / "none"), "auto") is None


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, output = Store(str(tmp_path)), str(tmp_path)
    save(store, output, content_of(1), keep=2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "put", full)
    with pytest.raises(OSError, match="No space"):
        save(store, output, content_of(2), keep=2)
    assert torch.load(tmp_path / NEWEST, weights_only=True)["step"] == 1 and list(kept(output)) == [1]


def test_a_file_system_without_links_keeps_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)
    for step in (1, 2):
        save(Store(str(tmp_path)), str(tmp_path), content_of(step), keep=2)
    assert sorted(kept(str(tmp_path))) == [1, 2]
