"""Images inside Parquet become a corpus: that of the same images in a folder, whether killed, in tasks, or at once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest import ingest
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.layout import COPIES_FOLDER, image_copies_file
from tagmill.ingest.parts.partition import partition
from tagmill.ingest.parts.stored_pictures import StoredPictures
from tagmill.ingest.sources.stored import parquet_pictures
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.store import Store
from tests.ingest.here_tasks import HereTasks
from tests.ingest.smallweb import picture

PICTURES = 30
CLASSES = ["brown_bear", "dog", "tulip"]


def lists(folder: Path, row_group: int = 4) -> Path:
    """Two files as Hugging Face's `push_to_hub` leaves them."""
    features = {"image": {"_type": "Image"}, "label": {"names": CLASSES, "_type": "ClassLabel"}}
    schema = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
        {"huggingface": json.dumps({"info": {"features": features}})},
    )
    (folder / "data").mkdir()
    for part in range(2):
        rows = [
            {"image": {"bytes": picture(number), "path": f"{number:03d}"}, "label": number % 3}
            for number in range(part, PICTURES, 2)
        ]
        path = folder / f"data/train-{part:05d}-of-00002.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=row_group)
    return folder / "data"


def config_of(source: Path, output: Path, **settings: Any) -> IngestConfig:
    small = {"rows_per_part": 8, "parts_per_group": 2, "shard_samples": 7, "image_size": 32, "processes": 1}
    return IngestConfig(input=(str(source),), output=str(output), **{**small, **settings})


def samples_of(output: Path) -> dict[str, tuple[str, ...]]:
    """sha256 of the source of each sample, with its tags."""
    corpus = Corpus.open(str(output))
    tables = [pq.read_table(output / f"shards/{entry.name}.parquet") for entry in corpus.entries]
    return {row["sha256"]: tuple(row["tags"]) for table in tables for row in table.to_pylist()}


def stopped_at_the_third() -> Callable[[StoredPictures], tuple[str, int]]:
    """The end of a copy, which the user stops the third time."""
    ended, plain = list[int](), StoredPictures.end

    def end(self: StoredPictures) -> tuple[str, int]:
        ended.append(1)
        if len(ended) == 3:
            raise KeyboardInterrupt
        return plain(self)

    return end


def test_a_corpus_of_images_in_parquet_is_that_of_a_folder(tmp_path: Path) -> None:
    report = ingest(config_of(lists(tmp_path), tmp_path / "corpus", preset="huggingface"))
    assert report.rows == PICTURES == sum(report.samples.values()) and report.unlabelled == 0
    for name in CLASSES:
        (tmp_path / "folder" / name).mkdir(parents=True)
    for number in range(PICTURES):
        (tmp_path / "folder" / CLASSES[number % 3] / f"{number}.jpg").write_bytes(picture(number))
    ingest(config_of(tmp_path / "folder", tmp_path / "other", tags_from_folder=True))
    assert samples_of(tmp_path / "corpus") == samples_of(tmp_path / "other")
    assert not (tmp_path / "corpus" / "parts").exists()


def test_copies_are_made_in_tasks_as_here_and_again_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_pictures, "COPIED_BYTES", 1)
    monkeypatch.setattr(parquet_pictures, "IMAGES_READ", 3)
    source, made = lists(tmp_path), list[dict[str, bytes]]()
    for name, tasks in (("here", None), ("tasks", HereTasks(tmp_path / "scratch"))):
        config = config_of(source, tmp_path / "corpus", preset="huggingface")
        store = Store(config.output)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(StoredPictures, "end", stopped_at_the_third())
            partition(config, store, tmp_path / name, tasks=tasks)
        store.put(image_copies_file(7, 0), b"of an earlier start, with other inputs")
        partition(config, store, tmp_path / name, tasks=tasks)
        made.append({each: store.read(each) for each in store.names("parts")})
        store.delete_below("parts")
    assert made[0] == made[1]
    copies = [each for each in made[0] if each.startswith(COPIES_FOLDER)]
    assert len(copies) > 8 and image_copies_file(7, 0) not in copies
    assert sorted(picture(n) for n in range(PICTURES)) == sorted(
        made[0][place["object"].removeprefix(f"{config.output}/")][place["offset"] : place["offset"] + place["size"]]
        for name in made[0]
        if name.endswith("rows.parquet")
        for place in pq.read_table(pa.BufferReader(made[0][name]))["bytes_at"].to_pylist()
    )
