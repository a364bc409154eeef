"""Parquet with the images themselves: rows, places and names, and which columns of images are read."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.sources import rows as sources
from tagmill.ingest.sources.pieces import row_group_pieces
from tagmill.ingest.sources.samples import Listing
from tagmill.ingest.sources.stored import parquet_pictures
from tagmill.ingest.sources.stored.parquet_pictures import class_names
from tagmill.shards.errors import InputError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
LABEL = {"names": ["cat", "dog"], "_type": "ClassLabel"}
NOTE = {b"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}, "label": LABEL}}}).encode()}


class Copies:
    """Copies in memory, each by its name."""

    def __init__(self) -> None:
        self.copies: dict[str, bytes] = {}
        self._held = b""

    def begin(self, ordinal: int, row: int) -> None:
        self._name, self._held = f"copy://{ordinal}-{row}", b""

    def add(self, picture: bytes) -> int:
        self._held += picture
        return len(self._held) - len(picture)

    def end(self) -> tuple[str, int]:
        self.copies[self._name] = self._held
        return self._name, len(self._held)

    def at(self, place: dict[str, Any]) -> bytes:
        whole = self.copies[place["object"]]
        assert place["length"] == len(whole)
        return whole[place["offset"] : place["offset"] + place["size"]]


def written(path: Path, columns: dict[str, pa.Array], row_group: int = 100) -> Path:
    pq.write_table(pa.table(columns).replace_schema_metadata(NOTE), path, row_group_size=row_group)
    return path


def config_of(path: Path, **settings: Any) -> IngestConfig:
    return IngestConfig(input=(str(path),), output=str(path.parent / "corpus"), **{"preset": "huggingface", **settings})


def read(path: Path, **settings: Any) -> tuple[list[dict[str, Any]], Copies, dict[int, Listing]]:
    copies, listings = Copies(), dict[int, Listing]()
    batches = list(sources.rows(config_of(path, **settings), {}, listings, copies))
    return [row for batch in batches for row in batch.to_pylist()], copies, listings


@settings(max_examples=40, deadline=None)
@given(
    bodies=st.lists(st.none() | st.binary(max_size=9), min_size=1, max_size=30),
    row_group=st.integers(1, 12),
    read_rows=st.integers(1, 5),
    copied=st.integers(1, 30),
    is_struct=st.booleans(),
)
def test_every_image_is_where_its_row_says(
    tmp_path_factory: pytest.TempPathFactory,
    bodies: list[bytes | None],
    row_group: int,
    read_rows: int,
    copied: int,
    is_struct: bool,
) -> None:
    column = (
        pa.array([{"bytes": body, "path": None} for body in bodies], IMAGE)
        if is_struct
        else pa.array(bodies, pa.binary())
    )
    columns = {"image": column, "label": pa.array([n % 3 - 1 for n in range(len(bodies))])}
    path = written(tmp_path_factory.mktemp("pictures") / "a.parquet", columns, row_group)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_pictures, "IMAGES_READ", read_rows)
        patch.setattr(parquet_pictures, "COPIED_BYTES", copied)
        found, copies, _ = read(path, max_bytes=8)
        pieces = list(row_group_pieces(0, sources.inputs(config_of(path))[0]))
        in_pieces = Copies()
        again = [
            row
            for piece in pieces
            for batch in sources.rows_of_piece(piece, config_of(path, max_bytes=8), {}, {}, in_pieces)
            for row in batch.to_pylist()
        ]
    assert again == found and in_pieces.copies == copies.copies
    assert [row["row_id"] for row in found] == list(range(len(bodies)))
    assert [row["tags"] for row in found] == [[[], ["cat"], ["dog"]][n % 3] for n in range(len(bodies))]
    assert [row["url"] for row in found] == [f"a.parquet/{n}" for n in range(len(bodies))]
    for row, body in zip(found, bodies, strict=True):
        place = row["bytes_at"]
        if body is None or len(body) > 8:
            assert place["reason"] == ("bad_member" if body is None else "too_big") and place["object"] == ""
        else:
            assert place["reason"] is None and copies.at(place) == body


def test_urls_and_paths(tmp_path: Path) -> None:
    """A URL in the path is the row's; with bytes they are taken, without bytes it is fetched."""
    rows = [
        {"bytes": b"1", "path": "train/a.jpg"},
        {"bytes": b"2", "path": "http://h.example/2"},
        {"bytes": None, "path": "http://h.example/3"},
        {"bytes": None, "path": "gone.jpg"},
        None,
    ]
    path = written(tmp_path / "b.parquet", {"image": pa.array(rows, IMAGE), "label": pa.array([0] * 5)})
    found, copies, listings = read(path)
    assert [row["url"] for row in found] == [
        *("b.parquet/train/a.jpg", "http://h.example/2", "http://h.example/3", "b.parquet/gone.jpg", "b.parquet/4"),
    ]
    assert [row["bytes_at"] and row["bytes_at"]["reason"] for row in found] == [
        None,
        None,
        None,
        "bad_member",
        "bad_member",
    ]
    assert found[2]["bytes_at"] is None and copies.at(found[1]["bytes_at"]) == b"2"
    assert listings[0].bytes == path.stat().st_size
    digest = listings[0].sha256
    with_url = {
        "image": pa.array(rows, IMAGE),
        "label": pa.array([0] * 5),
        "url": [None, None, None, "http://h.example/4", "x"],
    }
    found, _, listings = read(written(path, with_url))
    assert [row["url"] for row in found[3:]] == ["http://h.example/4", "x"]
    assert [row["bytes_at"] for row in found[3:]] == [None, None] and listings[0].sha256 != digest


def test_without_a_place_for_them_images_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = pa.array([{"bytes": bytes([n]) * 5000, "path": f"{n}.jpg"} for n in range(20)], IMAGE)
    path = written(tmp_path / "c.parquet", {"image": bodies, "label": pa.array([0] * 20)}, 5)
    wanted: list[list[str]] = []
    plain = pq.ParquetFile.iter_batches

    def watched(self: Any, *arguments: Any, columns: list[str], **more: Any) -> Any:
        wanted.append(columns)
        return plain(self, *arguments, columns=columns, **more)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    (batch, *_) = list(sources.rows(config_of(path)))
    assert batch["url"].to_pylist() == [f"c.parquet/{n}.jpg" for n in range(5)]
    assert wanted and all("image.bytes" not in each and "image" not in each for each in wanted)


@pytest.mark.parametrize(
    ("columns", "settings", "what"),
    [
        ({"image": pa.array(["a"]), "label": pa.array([0])}, {}, "column 'image' is of type string"),
        ({"image": pa.array([{"path": "a"}]), "label": pa.array([0])}, {}, "column 'image' is of type struct"),
        ({"picture": pa.array([b"a"]), "label": pa.array([0])}, {}, "no column 'image'"),
        ({"image": pa.array([b"a"])}, {}, "no column 'label'"),
        ({"image": pa.array([b"a"]), "label": pa.array([0])}, {"url_column": "link"}, "no column 'link'"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, columns: dict[str, pa.Array], settings: dict[str, Any], what: str
) -> None:
    path = written(tmp_path / "d.parquet", columns)
    with pytest.raises(InputError, match=what):
        sources.check(config_of(path, **settings))


def test_other_lists_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text("image,label\na,b\n")
    with pytest.raises(InputError, match="from Parquet, and not from other lists"):
        sources.check(config_of(path))


@pytest.mark.parametrize(
    "note",
    [
        b"{",
        b"[]",
        b'{"info": 3}',
        b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": [1]}}}}',
        b"[" * 9999,
    ],
)
def test_notes_that_are_none(note: bytes) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"label": [1]}).replace_schema_metadata({b"huggingface": note}), file)
    assert class_names(pq.ParquetFile(file).schema_arrow) == {}
