"""ImageNet's validation sets, by the lists that timm ships."""

from pathlib import Path

import pytest
from timm.data import ImageNetInfo, RealLabelsImagenet

from tagmill.shards import InputError
from tagmill.transfer.sets.kinds.imagenet import (
    SYNSETS,
    imagenet_outputs,
    imagenet_synsets,
    real_labels,
    real_set,
    synset_folder_set,
    v2_set,
)
from tagmill.transfer.sets.set_files import SetFiles
from tests.transfer.sets.made import class_folders, png, write_files


def files(tmp_path: Path, *names: str) -> SetFiles:
    return SetFiles.below(str(write_files(tmp_path, {name: png(1) for name in names})))


def test_classes_are_those_of_timm_and_of_its_outputs() -> None:
    assert [*imagenet_synsets()] == ImageNetInfo("imagenet-1k").label_names()
    for kind in SYNSETS:
        outputs = imagenet_outputs(kind)
        assert len(outputs) == (200 if kind in ("imagenet-a", "imagenet-r") else 1000)
        assert [imagenet_synsets()[output] for output in outputs] == [*imagenet_synsets(kind)]


def test_reals_labels_are_those_of_timms_judge() -> None:
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 50_001)]
    theirs = RealLabelsImagenet(names).real_labels
    assert [*real_labels()] == [tuple(sorted(theirs[name])) for name in names]


def test_real_takes_validation_images_in_folders_or_not(tmp_path: Path) -> None:
    names = [
        "n01440764/ILSVRC2012_val_00000002.JPEG",
        "ILSVRC2012_val_00000001.JPEG",
        "n02/ILSVRC2012_val_00000003.JPEG",
    ]
    found = real_set("real", files(tmp_path, *names))
    assert [each.key[-6:-5] for each in found.examples] == ["1", "2", "3"]
    assert [each.labels for each in found.examples] == [(), (795, 970), (230, 231)]
    assert len(found.classes) == 1000 and found.read([1]) == [png(1)]


@pytest.mark.parametrize("name", ["ILSVRC2012_val_00050001.JPEG", "ILSVRC2012_val_00000000.JPEG", "x_00000001.JPEG"])
def test_other_images_have_no_real_labels(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is no validation image of ImageNet"):
        real_set("real", files(tmp_path, name))


@pytest.mark.parametrize("kind", [*SYNSETS])
def test_folders_of_synsets(tmp_path: Path, kind: str) -> None:
    synsets = imagenet_synsets(kind)
    write_files(tmp_path, class_folders(synsets[-1], synsets[3], each=1))
    found = synset_folder_set("made", kind, SetFiles.below(str(tmp_path)))
    assert [each.synset for each in found.classes] == [*synsets]
    assert [each.labels for each in found.examples] == [(3,), (len(synsets) - 1,)]
    write_files(tmp_path, class_folders("n00000001", each=1))
    with pytest.raises(InputError, match=f"the folder 'n00000001' is not a synset of {kind}"):
        synset_folder_set("made", kind, SetFiles.below(str(tmp_path)))


def test_v2_has_folders_of_places(tmp_path: Path) -> None:
    found = v2_set("v2", files(tmp_path, "10/a.jpeg", "9/b.jpeg", "999/c.jpeg"))
    assert [(each.key, each.labels) for each in found.examples] == [
        ("10/a.jpeg", (10,)),
        ("9/b.jpeg", (9,)),
        ("999/c.jpeg", (999,)),
    ]
    assert found.classes[9].synset == imagenet_synsets()[9]
    with pytest.raises(InputError, match="the folder '1000' is not a number from 0 to 999"):
        v2_set("v2", files(tmp_path, "1000/a.jpeg"))
