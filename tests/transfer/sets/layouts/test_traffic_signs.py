"""GTSRB, beside torchvision's reader."""

import io
from pathlib import Path

import pytest
from PIL import Image
from torchvision.datasets import GTSRB

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.traffic_signs import PpmSet, traffic_sign_set
from tagmill.transfer.sets.set_files import SetFiles
from tests.transfer.sets.layouts.beside_torchvision import names, ours, theirs
from tests.transfer.sets.made import png, write_files

TRAINING = [f"{label:05d}/{track:05d}_{frame:05d}.ppm" for label in range(43) for track in (1, 0) for frame in (1, 0)]
HEAD = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\r\n"
TEST = "00001.ppm;4;4;0;0;4;4;42\r\n00000.ppm;4;4;0;0;4;4; 7\r\n"


def ppm(number: int) -> bytes:
    sink = io.BytesIO()
    Image.open(io.BytesIO(png(number))).save(sink, "PPM")
    return sink.getvalue()


def written(folder: Path, test: str = HEAD + TEST) -> Path:
    files = {f"GTSRB/Training/{name}": ppm(number) for number, name in enumerate(TRAINING)}
    files |= {f"GTSRB/Final_Test/Images/0000{number}.ppm": ppm(900 + number) for number in range(2)}
    return write_files(folder, files | {"GT-final_test.csv": test.encode(), "GTSRB/Training/00000/GT-00000.csv": b"x"})


def opened(folder: Path, split: str | None) -> PpmSet:
    return traffic_sign_set("gtsrb", SetFiles.below(str(folder)), split)


@pytest.mark.parametrize("split", ["train", "test"])
def test_samples_are_those_of_torchvision(tmp_path: Path, split: str) -> None:
    folder = written(tmp_path / "gtsrb")
    found = opened(folder, split)
    assert ours(found) == theirs(GTSRB(str(tmp_path), split))
    assert names(found) == [f"{number:05d}" for number in range(43)]


def test_images_of_one_sign_are_a_group(tmp_path: Path) -> None:
    found = opened(written(tmp_path), "train")
    assert [each.group for each in found.examples[:5]] == ["00000/00000"] * 2 + ["00000/00001"] * 2 + ["00001/00000"]
    assert not any(each.group for each in opened(tmp_path, "test").examples)
    with pytest.raises(InputError, match="several parts: train, test"):
        opened(tmp_path, None)


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"P6 99999 99999 255\n", True),
        (b"P6 9999 9999 255\n" + bytes(99), True),
        (b"P6 2 2 255\n" + bytes(11), True),
        (b"P5 2 2 255\n" + bytes(12), True),
        (b"P6 2 2", True),
        (b"", True),
        (b"P6 0 2 255\n" + bytes(12), True),
        (b"P6 2 2 65535\n" + bytes(24), True),
        (b"P6\n# made by x\n2 2\n#\n255\n" + bytes(12), False),
        (png(1), True),
        (b"P6 2 2 255\n" + bytes(12), False),
    ],
)
def test_what_is_no_whole_ppm_stays_as_it_is(tmp_path: Path, data: bytes, kept: bool) -> None:
    folder = write_files(written(tmp_path), {"GTSRB/Final_Test/Images/00001.ppm": data})
    (read,) = opened(folder, "test").read([0])
    assert (read == data) is kept and (kept or (read or b"").startswith(b"\x89PNG"))


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    (written(tmp_path) / "GTSRB" / "Final_Test" / "Images" / "00000.ppm").unlink()
    assert [data is None for data in opened(tmp_path, "test").read([0, 1])] == [False, True]


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (TEST, r"no columns Filename and ClassId in '00001\.ppm;4.*\(.*GT-final_test\.csv, line 1\)"),
        ("Filename;Width\n", "no columns Filename and ClassId"),
        (HEAD + "00001.ppm;4\n", r"a row of 2 cells \(.*line 2\)"),
        (HEAD + TEST.replace("42", "43"), r"the class '00043', which the set does not have \(.*line 2\)"),
        (HEAD + TEST.replace("42", "x"), "the class '0000x'"),
        (HEAD + "../x.ppm;4;4;0;0;4;4;1\n", r"not below the folder of the set, 'GTSRB/Final_Test/Images/\.\./x\.ppm'"),
    ],
)
def test_other_lists_are_errors(tmp_path: Path, test: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(written(tmp_path, test), "test")


def test_another_folder_beside_the_classes(tmp_path: Path) -> None:
    folder = write_files(written(tmp_path), {"GTSRB/Training/00043/1.ppm": b""})
    with pytest.raises(InputError, match=r"the class '00043', which the set does not have \(.*GTSRB/Training/00043"):
        opened(folder, "train")
