"""The lists of classes are packed from texts, and from no other texts; the shipped file is what timm's lists give."""

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tagmill.ingest.labels.wordnet.compile_imagenet import compile_lists, main
from tagmill.ingest.labels.wordnet.imagenet import imagenet
from tagmill.shards.errors import TagmillError

TWO = {"in1k": 2, "in21k": 1}


def texts(folder: Path, in1k: str = "n02132136\nn01440764\n", in21k: str = "n00004475\n") -> dict[str, Path]:
    paths = {"in1k": folder / "1k.txt", "in21k": folder / "21k.txt"}
    paths["in1k"].write_text(in1k)
    paths["in21k"].write_text(in21k)
    return paths


def test_lists_keep_their_order(tmp_path: Path) -> None:
    packed = compile_lists(texts(tmp_path), TWO)
    assert packed == compile_lists(texts(tmp_path), TWO)
    with np.load(io.BytesIO(packed)) as archive:
        assert {name: archive[name].tolist() for name in archive} == {"in1k": [2132136, 1440764], "in21k": [4475]}


@pytest.mark.parametrize(
    ("in1k", "says"),
    [
        ("n02132136\nn02132137\n", r"no noun synset 'n02132137' .*1k\.txt, line 2"),
        ("n02132136\nn2132136\n", r"no noun synset 'n2132136' .*line 2"),
        ("n02132136 bear\n", r"no noun synset .*line 1"),
        ("n02132136\nn02132136\n", r"1 different ids in 2 lines, 2 expected .*1k\.txt"),
        ("n02132136\n", r"1 different ids in 1 lines, 2 expected"),
        ("n02132136\nb\xe4r\n", "cannot read the file"),
    ],
)
def test_another_text_is_refused(tmp_path: Path, in1k: str, says: str) -> None:
    with pytest.raises(TagmillError, match=says):
        compile_lists(texts(tmp_path, in1k), TWO)


def test_the_command_writes_the_file_or_says_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(path) for path in texts(tmp_path).values()]
    assert main(paths, tmp_path, TWO) == 0
    assert (tmp_path / "imagenet.npz").read_bytes() == compile_lists(texts(tmp_path), TWO)
    assert main(paths[:1]) == 2
    assert "usage" in capsys.readouterr().err
    into = tmp_path / "into"
    into.mkdir()
    assert main(paths, into) == main([paths[0], str(into / "none")], into, TWO) == main(paths, into / "no", TWO) == 1
    assert capsys.readouterr().err.count("\n") == 3
    assert list(into.iterdir()) == []


def test_the_shipped_lists_are_timms() -> None:
    timm = find_spec("timm")  # found and not imported: its lists are wanted, torch is not
    if timm is None or timm.origin is None:
        pytest.skip("timm, which has the lists of ImageNet's synsets, is not installed")
    folder = Path(timm.origin).parent / "data/_info"
    sources = {"in1k": folder / "imagenet_synsets.txt", "in21k": folder / "imagenet22k_synsets.txt"}
    with np.load(io.BytesIO(compile_lists(sources))) as archive:
        for name in sources:
            assert tuple(f"n{offset:08d}" for offset in archive[name]) == imagenet(name)
