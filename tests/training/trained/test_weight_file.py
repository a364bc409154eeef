"""Tests that safetensors files are read from anywhere, and that nothing else is taken for one."""

from pathlib import Path

import fsspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagmill.shards import Store, TagmillError
from tagmill.training.trained import weight_file
from tagmill.training.trained.weight_file import read_json, read_weights, write_weights

SHARED = torch.arange(6.0).view(2, 3)
WEIGHTS = {
    "a": SHARED,
    "b": SHARED,  # one memory
    "c": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "d": torch.tensor(3),
    "e": torch.rand(4).bfloat16(),
}


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == WEIGHTS.keys() and all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_weights_come_back_from_a_folder_and_a_url(tmp_path: Path) -> None:
    write_weights(WEIGHTS, Store(str(tmp_path / "new")), "w.safetensors")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["w.safetensors"]
    assert same(read_weights(str(tmp_path / "new/w.safetensors")))
    write_weights(WEIGHTS, Store("memory://weights"), "w.safetensors")
    assert same(read_weights("memory://weights/w.safetensors"))
    fsspec.filesystem("memory").rm("/weights", recursive=True)


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cut_and_altered_files_are_errors_or_tensors(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(WEIGHTS, Store(str(tmp_path)), path.name)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        assert all(isinstance(value, torch.Tensor) for value in read_weights(str(path)).values())
    except TagmillError as error:
        assert "safetensors" in str(error) and str(path) in str(error)


def test_missing_and_huge_files_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TagmillError, match="no such file"):
        read_weights(str(tmp_path / "w.safetensors"))
    write_weights(WEIGHTS, Store(str(tmp_path)), "w.safetensors")
    monkeypatch.setattr(weight_file, "MOST_BYTES", 100)
    with pytest.raises(TagmillError, match="more than 100"):
        read_weights(str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000])
def test_other_text_is_no_configuration(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(TagmillError, match=r"not (JSON|a JSON object).*config\.json"):
        read_json(Store(str(tmp_path)), "config.json")
