"""Parts of features: the same bytes by any number of processes, killed or not; never those of another model or set."""

import hashlib
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards import ConfigError, IntegrityError, Store
from tagmill.transfer.features.extract import Sharing, extract, extract_values
from tagmill.transfer.features.feature_parts import (
    FACTS_FILE,
    FeatureParts,
    PartLayout,
    PartValues,
    facts_digest,
    feature_facts,
    part_bytes,
)
from tagmill.transfer.features.feature_table import FeatureTable
from tests.transfer.drawn_set import DrawnSet, drawn_set
from tests.transfer.features.small_model import small_backbone
from tests.warm.python import called

LAYOUT = PartLayout(part=4, batch=3)
BROKEN_AT = {5}


def files(folder: Path) -> dict[str, str]:
    """Returns name and digest of every file below a folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def run(folder: Path, images: DrawnSet | None = None) -> None:
    drawn = images or drawn_set(2, 9, undecodable=BROKEN_AT)
    extract(small_backbone(), drawn, Sharing(Store(str(folder))), threads=1, layout=LAYOUT)


def killed_at(place: int) -> DrawnSet:
    """Returns the usual set, which kills its process where this image is read."""
    import os

    class Killing(DrawnSet):
        def read(self, places):  # type: ignore[no-untyped-def]
            if place in places:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().read(places)

    drawn = drawn_set(2, 9, undecodable=BROKEN_AT)
    return Killing(**{name: getattr(drawn, name) for name in DrawnSet.__dataclass_fields__})


def run_killed_at(folder: Path, place: int) -> None:
    run(folder, killed_at(place))


def test_a_killed_process_loses_a_part_and_the_bytes_are_the_same(tmp_path: Path) -> None:
    whole, restarted = tmp_path / "whole", tmp_path / "restarted"
    run(whole)
    assert called(tmp_path / "call", run_killed_at, restarted, 17).wait(200) == -signal.SIGKILL
    left = files(restarted)
    assert len([name for name in left if name.endswith(".parquet")]) < 5 == len(files(whole)) - 1
    run(restarted)
    assert files(restarted) == files(whole) and left.items() <= files(whole).items()


@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_that_share_leave_the_bytes_of_one(ranks: int, tmp_path: Path) -> None:
    run(tmp_path / "one")
    shared, backbones = Store(str(tmp_path / "shared")), [small_backbone() for _ in range(ranks)]
    drawn = drawn_set(2, 9, undecodable=BROKEN_AT)

    def one(rank: int) -> FeatureTable:
        return extract(backbones[rank], drawn, Sharing(shared, rank, ranks), threads=1, layout=LAYOUT)

    with ThreadPoolExecutor(ranks) as pool:
        tables = list(pool.map(one, range(ranks)))
    assert files(tmp_path / "shared") == files(tmp_path / "one")
    assert all(np.array_equal(table.values, tables[0].values) for table in tables)


def test_features_of_a_store_are_read_and_not_made_again(tmp_path: Path) -> None:
    run(tmp_path)
    drawn, sharing = drawn_set(2, 9, undecodable=BROKEN_AT), Sharing(Store(str(tmp_path)))
    unreadable = replace(drawn, images=())  # whatever would read it raises IndexError
    table = extract(small_backbone(), unreadable, sharing, layout=LAYOUT)
    fresh = extract(small_backbone(), drawn, layout=LAYOUT)
    assert np.array_equal(table.values, fresh.values) and table.keys.tolist() == fresh.keys.tolist()
    assert table.skipped == fresh.skipped == {"not_an_image": 1}
    with pytest.raises(IndexError):
        extract_values(small_backbone(seed=4), unreadable, sharing, layout=LAYOUT)  # other weights


def test_another_model_transform_set_or_layout_has_another_digest() -> None:
    backbone, drawn = small_backbone(), drawn_set()
    other = [
        feature_facts(small_backbone(seed=4), drawn, LAYOUT),
        feature_facts(small_backbone(outputs="logits"), drawn, LAYOUT),
        feature_facts(replace(backbone, transform=replace(backbone.transform, size=96)), drawn, LAYOUT),
        feature_facts(replace(backbone, transform=replace(backbone.transform, share=0.5)), drawn, LAYOUT),
        feature_facts(replace(backbone, device="cuda"), drawn, LAYOUT),
        feature_facts(backbone, drawn_set(seed=1), LAYOUT),
        feature_facts(backbone, drawn, PartLayout(4, 2)),
        feature_facts(backbone, drawn, PartLayout(5, 3)),
    ]
    usual = facts_digest(feature_facts(backbone, drawn, LAYOUT))
    assert usual == facts_digest(feature_facts(small_backbone(), drawn_set(), LAYOUT))
    assert len({usual, *map(facts_digest, other)}) == 9


def test_a_part_is_plain_parquet_keyed_by_sample(tmp_path: Path) -> None:
    run(tmp_path)
    (folder,) = tmp_path.iterdir()
    table = pq.read_table(folder / "000001.parquet")
    assert table["key"].to_pylist() == [f"0-{place:06d}" for place in range(4, 8)]
    assert table["reason"].to_pylist() == ["", "not_an_image", "", ""]
    assert (folder / FACTS_FILE).read_text().count("memory") == 0


def test_a_layout_of_nothing_is_refused() -> None:
    for part, batch in ((0, 1), (1, 0)):
        with pytest.raises(ConfigError, match="at least 1"):
            PartLayout(part, batch)


@settings(max_examples=30)
@given(data=st.data())
def test_an_altered_part_is_an_error_and_never_other_features(data: st.DataObject, tmp_path_factory: object) -> None:
    keys = ["a", "b", "c"]
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    whole = part_bytes(keys, PartValues(values, ("", "", "")))
    place = data.draw(st.integers(0, len(whole) - 1))
    altered = bytearray(whole)
    altered[place] ^= 1 << data.draw(st.integers(0, 7))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    folder = tmp_path_factory.mktemp("parts")  # type: ignore[attr-defined]
    parts = FeatureParts(Store(str(folder)), {}, keys, 4, 3)
    name = f"{parts.digest[:32]}/000000.parquet"
    for body, may_be_read in ((whole, True), (bytes(altered), True), (cut, False)):
        Store(str(folder)).put(name, body)
        try:
            found = parts.get(0)
        except IntegrityError as error:
            assert body != whole and str(folder) in str(error)
        else:
            assert may_be_read and np.array_equal(found.values, values) and found.reasons == ("", "", "")


def test_a_part_of_other_keys_or_another_width_is_an_error(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    FeatureParts(store, {}, ["a", "b"], 4, 2).put(0, PartValues(np.ones((2, 4), np.float32), ("", "")))
    for keys, width in ((["a", "c"], 4), (["a", "b"], 5), (["a", "b", "c"], 4)):
        with pytest.raises(IntegrityError, match="delete the file"):
            FeatureParts(store, {}, keys, width, 3).get(0)


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 5), st.data())
def test_a_process_makes_its_own_parts_and_then_those_of_others_from_the_last(
    images: int, part: int, ranks: int, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(0, ranks - 1))
    store = Store(f"memory://parts-{images}-{part}")
    parts = FeatureParts(store, {"ranks": ranks}, [""] * images, 1, part)
    assert [place for number in range(len(parts)) for place in parts.places(number)] == list(range(images))
    order = list(parts.missing(rank, ranks))
    own = list(range(rank, len(parts), ranks))
    assert order[: len(own)] == own and sorted(order) == list(range(len(parts)))
    assert order[len(own) :] == sorted(order[len(own) :], reverse=True)
