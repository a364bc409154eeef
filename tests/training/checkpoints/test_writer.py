"""Tests the objects that one process writes: how many, how large, and what their tensors are called."""

from pathlib import Path

import pytest
import safetensors.torch
import torch

from tagmill.shards import Store, TagmillError
from tagmill.training.checkpoints import writer
from tagmill.training.checkpoints.layout import read_done
from tagmill.training.checkpoints.state import tensors_of
from tests.training.checkpoints.small_run import begun, saved, small_run, take_steps


def test_any_tool_reads_the_tensors_of_a_run_of_one_process(tmp_path: Path) -> None:
    run = saved(str(tmp_path), 1)
    found = safetensors.torch.load_file(tmp_path / "checkpoints/1/00000-0000.safetensors")
    wanted = tensors_of(run)
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_objects_have_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LARGEST", 100)
    run = saved(str(tmp_path), 1)
    files = sorted((tmp_path / "checkpoints/1").glob("*.safetensors"))
    held = [safetensors.torch.load_file(file) for file in files]
    assert len(files) > 5 and sum(len(each) for each in held) == len(tensors_of(run))
    assert all(len(each) == 1 or sum(value.nbytes for value in each.values()) <= 100 for each in held)
    assert {file.name for file in files} < set(read_done(Store(str(tmp_path)), 1).objects)
    with begun(again := small_run(str(tmp_path))):
        assert again.step == 1


def test_an_object_that_vanished_makes_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where processes of other machines have folders of their own."""
    put = Store.put

    def elsewhere(self: Store, name: str, source: bytes) -> None:
        if not name.endswith(".safetensors"):
            put(self, name, source)

    run = small_run(str(tmp_path))
    with begun(run) as checkpoints:
        take_steps(run, 1)
        monkeypatch.setattr(Store, "put", elsewhere)
        checkpoints.save()
        with pytest.raises(TagmillError, match=r"just written is not there.*all processes share"):
            checkpoints.wait()
