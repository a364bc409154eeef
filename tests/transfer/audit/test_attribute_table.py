"""Tests of tables of attributes, good and bad."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.shards import InputError
from tagmill.transfer.audit.attribute_table import check_groups, read_attributes, subjects_by_group

ROWS = "key,subject,age,tone\na.jpg,s1,young,1\nb.jpg,s1,young,\nc.jpg,s2,old,2\nd.jpg,,old,2\ne.jpg,s3,,1\n"


def write(folder: Path, text: str) -> str:
    (folder / "table.csv").write_text(text, encoding="utf-8")
    return str(folder / "table.csv")


def test_subjects_and_groups_of_images(tmp_path: Path) -> None:
    found = read_attributes(write(tmp_path, "\ufeff" + ROWS), "age")
    assert found.subject_of == {"a.jpg": "s1", "b.jpg": "s1", "c.jpg": "s2"}
    assert found.group_of == {"s1": "young", "s2": "old"} and found.unknown == 2


def test_parquet_has_the_same_rows(tmp_path: Path) -> None:
    columns = list(zip(*(line.split(",") for line in ROWS.splitlines()[1:])))
    table = pa.table({name: list(column) for name, column in zip(ROWS.split("\n")[0].split(","), columns)})
    table = table.set_column(3, "tone", pa.array([1, None, 2, 2, 1]))
    pq.write_table(table, tmp_path / "table.parquet")
    for name in ("age", "tone"):
        assert read_attributes(str(tmp_path / "table.parquet"), name) == read_attributes(write(tmp_path, ROWS), name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key,age\na,old\n", "no column 'subject'; it has key, age"),
        ("", "no column 'key'"),
        (ROWS + "a.jpg,s1,young,1\n", r"the key 'a.jpg' is there twice \(.*row 6\)"),
        (ROWS + "f.jpg,s1,old,1\n", "the subject 's1' has two values of 'age': 'young', 'old'"),
        ('key,subject,age\n"a,s,x\n', "cannot be read: unexpected end of data"),
        ("key,subject,age\n" + "".join(f"k{n},s{n},{n}\n" for n in range(51)), "51 values of 'age', more than 50"),
    ],
)
def test_bad_tables_are_refused_in_a_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_attributes(write(tmp_path, text), "age")


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    for name, data in (("x.parquet", b"PAR1 no"), ("x.csv", b"key,subject,age\n\xff\xfe")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match="cannot be read"):
            read_attributes(str(tmp_path / name), "age")


def test_small_groups_are_refused() -> None:
    check_groups(subjects_by_group(["a"] * 30 + ["b"] * 31), "age")
    with pytest.raises(InputError, match=r"fewer than 30 subjects.*'b' has 29"):
        check_groups({"a": 30, "b": 29}, "age")
    with pytest.raises(InputError, match="1 value of 'age'"):
        check_groups({"a": 300}, "age")
