"""What a dry run says is what a run does; it writes nothing, and sends no request without a sample."""

import dataclasses
import os
import socket
import tarfile
from collections import Counter
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest import IngestConfig, ingest
from tagmill.ingest.config.dry_run import DryRunOptions
from tagmill.ingest.dry_run.findings import Column
from tagmill.ingest.dry_run.run import dry_run
from tagmill.ingest.dry_run.screen import screen
from tagmill.shards.errors import ConfigError, InputError
from tagmill.shards.formats.shard_index import padded
from tests.ingest.smallweb import PICTURES, config, picture, web

__all__ = ["web"]  # a fixture

WORDS = ["#BrownBear", "cats", "dog", "sunset", "xyzzy", "tulip"]
FAILING = 5  # rows without an image
DRY = DryRunOptions(dry_run=True)


def bytes_of_samples(tar: Path) -> int:
    """The bytes of a tar before the blocks that end it."""
    with tarfile.open(tar) as file:
        last = file.getmembers()[-1]
    return last.offset_data + padded(last.size)


def everything(folder: Path) -> list[str]:
    return sorted(str(Path(place) / name) for place, _, names in os.walk(folder) for name in names)


@pytest.fixture(scope="module")
def listing(web: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Images that are all different, so that no row is changed by another; rows that give no image have no tags."""
    urls = [f"{web}/picture/{number}" for number in range(PICTURES)]
    tags = [[WORDS[number % 6], WORDS[number % 4]] for number in range(PICTURES)]
    urls += [f"{web}/gone", f"{web}/page", "ftp://127.0.0.1/1", f"{web}/forbidden/one", f"{web}/forbidden/two"]
    tags += [[] for _ in range(FAILING)]
    path = tmp_path_factory.mktemp("listing") / "rows.parquet"
    columns = {"url": urls, "tags": pa.array(tags, pa.list_(pa.string())), "n": range(len(urls)), "other": urls}
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_a_sample_of_all_rows_predicts_the_run(listing: str, web: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text(f"url {web}/forbidden/one\n")
    settings = {"holdout": 0, "takedown": (str(rules),), "near_threshold": -1, "min_count": 8}
    wanted = config(listing, tmp_path / "corpus", **settings)
    found = dry_run(wanted, DryRunOptions(dry_run=True, sample=1000))
    assert everything(tmp_path) == [str(rules)]
    report, sample = ingest(wanted), found.sample
    assert sample is not None and found.rows_exact and found.rows == report.rows == PICTURES + FAILING
    assert Counter(found.rejects) + Counter(sample.rejects) == report.rejects
    expected = sample.expected_images
    assert sample.images == report.samples["train"] == expected.low == expected.value == expected.high
    top = [(label.name, label.images) for label in found.tags.top]
    assert top == [(label.name, label.images) for label in report.top_labels]
    assert (found.tags.labels, found.tags.tags) == (report.labels, report.tags)
    assert found.tags.unlabelled == report.unlabelled + sum(sample.rejects.values())
    stored = found.costs.stored_bytes
    assert stored is not None and stored.low == stored.high
    assert round(stored.value) == sum(map(bytes_of_samples, (tmp_path / "corpus" / "shards").glob("*.tar")))


def test_copies_and_near_copies_of_a_sample_are_counted(web: str, tmp_path: Path) -> None:
    urls = [f"{web}/picture/{number}" for number in (1, 2, 3)] + [
        f"{web}/copy1/1",
        f"{web}/copy2/1",
        f"{web}/picture/1",
    ]
    (tmp_path / "list.txt").write_text("\n".join(urls))
    wanted = IngestConfig(input=(str(tmp_path / "list.txt"),), output=str(tmp_path / "out"), allow_private=True)
    found = dry_run(wanted, DryRunOptions(dry_run=True, sample=10))
    assert found.sample is not None
    assert (found.requests, found.repeated, found.sample.same_bytes, found.sample.near_duplicates) == (5, 1, 2, 0)


def test_without_a_sample_no_request_leaves_and_nothing_is_written(
    listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError(f"a connection or a name is asked for: {args}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    wanted = config(listing, tmp_path / "corpus", extra_columns=())
    found = dry_run(wanted, DRY)
    assert found.sample is None and found.requests == PICTURES + FAILING - 1 and found.rejects == {"bad_url": 1}
    assert everything(tmp_path) == [] and not (tmp_path / "corpus").exists()
    with pytest.raises(AssertionError, match="is asked for"):  # the guard would notice
        dry_run(wanted, DryRunOptions(dry_run=True, sample=1))


def test_the_sample_keeps_the_manners_of_a_run(listing: str, tmp_path: Path) -> None:
    """Loopback is no public address, so nothing is fetched; the whole sample is rejected for it."""
    wanted = config(listing, tmp_path / "corpus", allow_private=False)
    found = dry_run(wanted, DryRunOptions(dry_run=True, sample=5))
    assert found.rejects == {"private_address": PICTURES + FAILING - 1, "bad_url": 1}
    assert found.sample is None and "none of the rows" in found.warnings[0]


def test_columns_are_named_with_what_chose_them(listing: str, tmp_path: Path) -> None:
    found = dry_run(config(listing, tmp_path / "corpus", tags_column="tags"), DRY)
    assert [(each.name, each.used_as, each.chosen_by) for each in found.columns] == [
        ("url", "url", "default"),
        ("tags", "tags", "--tags-column"),
        ("n", "extra", "--extra-columns"),
    ]
    assert found.unused_columns == ("other",)
    (tmp_path / "laion.jsonl").write_text('{"URL": "http://a.example/1", "TEXT": "my #cat", "WIDTH": 3}\n')
    wanted = IngestConfig(input=(str(tmp_path / "laion.jsonl"),), output=str(tmp_path / "out"), preset="laion")
    found = dry_run(wanted, DRY)
    assert [(each.name, each.used_as, each.chosen_by) for each in found.columns] == [
        ("URL", "url", "--preset laion"),
        ("TEXT", "caption", "--preset laion"),
    ]
    assert found.unused_columns == ("WIDTH",) and found.tags.top[0].name == "cat"
    found = dry_run(dataclasses.replace(wanted, where="WIDTH > 2"), DRY)
    assert found.columns[-1] == Column("WIDTH", "condition", "--where") and not found.unused_columns


def test_nouns_of_captions_are_the_labels_of_the_dry_run_and_of_the_run(web: str, tmp_path: Path) -> None:
    captions = [
        "Two brown bears eating fish",
        "The boy's golden retriever",
        "#sunset over a lake",
        "",
        "So lovely!",
        "fishes",
    ]
    urls = [f"{web}/picture/{number}" for number in range(len(captions))]
    pq.write_table(pa.table({"url": urls, "caption": captions}), tmp_path / "captions.parquet")
    wanted = IngestConfig(
        input=(str(tmp_path / "captions.parquet"),),
        output=str(tmp_path / "corpus"),
        preset="img2dataset",
        caption_nouns=True,
        rule="first",
        allow_private=True,
        honour_robots=False,
        near_threshold=-1,
        processes=1,
    )
    expected = {"fish": 2, "brownbear": 1, "boy": 1, "goldenretriever": 1, "sunset": 1, "lake": 1}
    assert {label.name: label.images for label in dry_run(wanted, DRY).tags.top} == expected
    report = ingest(wanted)
    assert {label.name: label.images for label in report.top_labels} == expected and report.few_labels is None


def test_rows_that_are_taken_down_are_a_number_only(listing: str, web: str, tmp_path: Path) -> None:
    (tmp_path / "rules.txt").write_text("host 127.0.0.1\n")
    found = dry_run(config(listing, tmp_path / "corpus", takedown=(str(tmp_path / "rules.txt"),)), DRY)
    assert found.rejects == {"taken_down": PICTURES + FAILING - 1, "bad_url": 1}
    for text in (screen(found), found.json()):
        assert web not in text and "BrownBear" not in text and "127.0.0.1" not in text.replace("ftp://127.0.0.1/1", "")


def test_a_limit_is_a_limit_of_the_estimate(listing: str, tmp_path: Path) -> None:
    found = dry_run(config(listing, tmp_path / "corpus", limit=7), DRY)
    assert (found.rows, found.rows_read, found.rows_exact) == (7, 7, True)


def test_folders_of_images_are_estimated_too(tmp_path: Path) -> None:
    (tmp_path / "photos" / "tulip").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "photos" / "tulip" / f"{number}.jpg").write_bytes(picture(number))
    wanted = IngestConfig(
        input=(str(tmp_path / "photos"),), output=str(tmp_path / "out"), tags_from_folder=True, processes=1
    )
    found = dry_run(wanted, DryRunOptions(dry_run=True, sample=3))
    assert found.sample is not None and found.sample.images == 3 and found.costs.hosts == 0
    assert [(label.name, label.images) for label in found.tags.top] == [("tulip", 3)]


def test_what_a_run_refuses_is_refused(listing: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'labels'"):
        dry_run(config(listing, tmp_path / "corpus", tags_column="labels"), DRY)
    with pytest.raises(ConfigError, match="no corpus to extend"):
        dry_run(config(listing, tmp_path / "corpus", extend=True), DRY)
    assert everything(tmp_path) == []


def test_images_inside_parquet_are_not_sampled(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"image": [b"x"] * 3, "label": ["cat"] * 3}), path)
    config = IngestConfig(input=(str(path),), output=str(tmp_path / "corpus"), preset="huggingface")
    assert dry_run(config, DryRunOptions(dry_run=True)).rows == 3
    with pytest.raises(ConfigError, match="does not decode images that are inside Parquet"):
        dry_run(config, DryRunOptions(dry_run=True, sample=2))
