"""Tables of images."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards import InputError
from tagmill.transfer.sets.kinds.image_table import image_table_set, in_order_of_names
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet
from tests.transfer.sets.made import png, write_files


def table(tmp_path: Path, text: str, split: str | None = None) -> StoredSet:
    write_files(tmp_path, {"i/1.png": png(1), "i/2.png": png(2), "t.csv": text.encode()})
    return image_table_set("t", SetFiles.below(str(tmp_path)), "t.csv", text, split)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("head", ["path,label,group\n", "Image,CLASS,subject\n", ""])
def test_rows_of_any_delimiter_with_and_without_names(tmp_path: Path, delimiter: str, head: str) -> None:
    text = f"{head}./i/2.png,crane,g\r\ni/1.png,bear,\n\ni/3.png,bear,h\n".replace(",", delimiter)
    found = table(tmp_path, text)
    assert [each.name for each in found.classes] == ["bear", "crane"]
    assert [*found.examples] == [("i/2.png", (1,), "g"), ("i/1.png", (0,), ""), ("i/3.png", (0,), "h")]
    assert found.read([0, 1, 2]) == [png(2), png(1), None]


def test_columns_in_any_order_and_a_split(tmp_path: Path) -> None:
    text = "split,note,label,file\ntrain,x,a,i/1.png\nval,x,b,i/2.png\nval,x,a,i/1.png\n"
    assert [each.key for each in table(tmp_path, text, "val").examples] == ["i/2.png", "i/1.png"]
    with pytest.raises(InputError, match="several parts: train, val"):
        table(tmp_path, text)
    with pytest.raises(InputError, match="there are: train, val"):
        table(tmp_path, text, "test")


def test_several_labels_and_none(tmp_path: Path) -> None:
    found = table(tmp_path, "path,labels\ni/1.png,b|a|b\ni/2.png,\ni/3.png,c\n")
    assert [each.labels for each in found.examples] == [(0, 1), (), (2,)]


def test_numbers_are_in_their_order_and_synsets_are_kept(tmp_path: Path) -> None:
    assert in_order_of_names({"10", "9", "0"}) == ["0", "9", "10"]
    assert in_order_of_names({"10", "9", "a"}) == ["10", "9", "a"]
    found = table(tmp_path, "i/1.png,n02132136\ni/2.png,oak\n")
    assert found.classes[0].synset == "n02132136"


@settings(max_examples=40)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1), min_size=2))
def test_any_name_of_a_class_comes_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    names = sorted({name.strip() for name in names} - {""})
    if len(names) < 2:
        return
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([["path", "label"], *([f"{i}.png", x] for i, x in enumerate(names))])
    files = SetFiles.below(str(write_files(tmp_path_factory.mktemp("t"), {"x": b""})))
    found = image_table_set("t", files, "t.csv", out.getvalue(), None)
    classes = [found.classes[each.labels[0]] for each in found.examples]
    assert [each.synset or each.name for each in classes] == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n../x.png,a\n", r"not below the folder of the table, '\.\./x\.png'"),
        ("path,label\n/etc/x.png,a\n", "not below the folder"),
        ("path,label\nhttp://a/x.png,a\n", "not below the folder"),
        ("path,label\n,a\n", "not below the folder"),
        ("path,label\ni/1.png\n", "a row of 1 cells .*line 2"),
        ("a,b\n1,2\n", "no columns of path and label"),
        ("path,name\ni/1.png,2\n", "no columns of path and label"),
        ('path,label\n"i/1.png,a\n', "no table"),
        ("x" * 200_000 + ",a\n", "no table: field larger than field limit"),
        ("i/1.png,a\ni/1.png,b\n", "two images of one key"),
        ("i/1.png,a\n", "1 class "),
        ("path,label\n", "without images"),
        ("", "without images"),
    ],
)
def test_other_tables_are_errors(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(tmp_path, text)
