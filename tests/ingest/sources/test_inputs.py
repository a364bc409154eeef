"""The kind of an input: by suffix, by the content of its folder, or by flag; mixed folders are refused."""

from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.sources import inputs as module
from tagmill.ingest.sources.inputs import METADATA, find_inputs, inputs
from tagmill.shards.errors import InputError
from tagmill.shards.storage.store import Store
from tests.shards.gcs_server import GcsServer
from tests.shards.hub_server import HubServer

TARS, IMG2DATASET = (
    ["00000.tar", "00001.tar"],
    ["00000.parquet", "00000_stats.json", "00001.parquet", "00001_stats.json"],
)
PHOTOS, LISTS = ["a.jpg", "b/c.PNG", "b/c.txt", "b/c.json"], ["1.csv", "2.csv.gz", "3.parquet"]


def filled(url: str, names: list[str]) -> str:
    for name in names:
        Store(url).put(name, b"x")
    return url


def found(*given: str, **settings: Any) -> list[tuple[str, str, str]]:
    config = IngestConfig(input=given, output="corpus", **settings)
    return [(each.url, each.kind, each.name) for each in inputs(config)]


def check_folders(root: str) -> None:
    """Checks folders, in the same way on every store."""
    tars = filled(f"{root}/wds", [*TARS, *IMG2DATASET, "README"])
    assert found(tars) == found(f"{tars}/") == [(f"{tars}/{name}", "tars", name) for name in TARS]
    photos = filled(f"{root}/photos", PHOTOS)
    assert found(photos) == found(f"{photos}/") == [(photos, "files", "")]
    lists = filled(f"{root}/lists", [*LISTS, "report.html"])
    assert [(url, kind) for url, kind, _ in found(lists)] == [(f"{lists}/{name}", "lists") for name in LISTS]
    assert found(lists, tars, lists, photos, f"{tars}/00000.tar") == found(tars, photos, lists)
    everything = filled(f"{root}/all", [*TARS, *PHOTOS[:2], *LISTS])
    with pytest.raises(InputError, match=r"lists and tars and pictures in one folder.*--source lists, tars or files"):
        found(everything)
    assert [url for url, _, _ in found(everything, source="tars")] == [f"{everything}/{name}" for name in TARS]
    assert found(everything, source="files") == [(everything, "files", "")]
    assert found(everything, source="lists")[0][0] == f"{everything}/1.csv"


def test_folders(tmp_path: Path) -> None:
    check_folders(str(tmp_path))


def test_prefixes_of_a_bucket(s3_bucket: str) -> None:
    check_folders(s3_bucket)


def test_prefixes_of_a_container_of_azure(azure_container: str) -> None:
    check_folders(azure_container)


def test_prefixes_of_a_bucket_of_google(gcs: GcsServer) -> None:
    check_folders("gs://bucket")


def test_folders_and_patterns_of_the_hub(hub: HubServer) -> None:
    files = {f"wds/{name}": b"x" for name in [*TARS, *IMG2DATASET]} | {f"data/{name}": b"x" for name in LISTS}
    hub.files["datasets/owner/name", "main"] = hub.files["datasets/owner/name", "v1"] = files
    for url in ("hf://datasets/owner/name", "hf://datasets/owner/name@v1"):
        lists = [(f"{url}/data/{name}", "lists") for name in LISTS]
        assert [(at, kind) for at, kind, _ in found(f"{url}/data")] == lists
        assert [(at, kind) for at, kind, _ in found(f"{url}/data/*.csv*")] == lists[:2]
        assert [(at, kind) for at, kind, _ in found(f"{url}/*/3.parquet")] == lists[2:]
        assert found(f"{url}/wds") == [(f"{url}/wds/{name}", "tars", name) for name in TARS]
        with pytest.raises(InputError, match="no input here"):
            found(f"{url}/none.parquet")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([*TARS, "list.parquet"], "lists and tars"),
        ([*TARS, "a.jpg"], "tars and pictures"),
        (["a.jpg", "urls.txt"], "lists and pictures"),
        (["a.jpg", "a.csv", "b.csv"], "lists and pictures"),
    ],
)
def test_a_folder_of_two_kinds_is_refused(tmp_path: Path, names: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        found(filled(str(tmp_path), names))
    assert "--source" in caught.value.remedy


def test_a_folder_is_judged_by_its_first_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES_EXAMINED", 3)
    folder, seen = filled(str(tmp_path), [f"{i}.jpg" for i in range(9)]), []
    listing = Store.listing

    def counted(store: Store, prefix: str = "") -> Any:
        for each in listing(store, prefix):
            seen.append(each)
            yield each

    monkeypatch.setattr(Store, "listing", counted)
    assert found(folder) == [(folder, "files", "")] and len(seen) == 3


def test_tars_by_name_glob_and_depth(tmp_path: Path) -> None:
    folder = filled(str(tmp_path), ["a/1.tar", "b/1.tar", "list.csv"])
    assert found(folder, source="tars") == [(f"{folder}/{name}/1.tar", "tars", f"{name}/1.tar") for name in "ab"]
    assert found(f"{folder}/*/*.tar") == [(f"{folder}/{name}/1.tar", "tars", "1.tar") for name in "ab"]
    assert found(f"{folder}/a/1.tar", f"{folder}/list.csv")[1][1] == "lists"
    odd = filled(str(tmp_path / "odd"), ["shard-0"])
    assert found(f"{odd}/shard-0", source="tars") == [(f"{odd}/shard-0", "tars", "shard-0")]


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tgz", "x.TAR.zst", "x.tar.bz2"])
def test_a_compressed_tar_is_refused_with_a_remedy(tmp_path: Path, name: str) -> None:
    folder = filled(str(tmp_path), [name])
    for given in (f"{folder}/{name}", folder):
        with pytest.raises(InputError, match=r"compressed tar.*unpack it"):
            found(given)


@pytest.mark.parametrize(
    ("given", "settings", "says"),
    [
        ("a.jpg", {}, "give its folder"),
        ("*.jpg", {}, "give its folder"),
        ("", {"source": "tars"}, "no tar here"),
        ("nowhere", {"source": "files"}, "no input here"),
        ("", {"preset": "yfcc100m"}, "the preset yfcc100m is for lists"),
        ("a.doc", {}, "format 'doc' is not read"),
    ],
)
def test_invalid_inputs_are_errors(tmp_path: Path, given: str, settings: dict[str, Any], says: str) -> None:
    filled(str(tmp_path), ["a.jpg", "a.doc"])
    with pytest.raises(InputError, match=says):
        found(f"{tmp_path}/{given}", **settings)


HIDDEN = ["._1.csv", ".ipynb_checkpoints/1-checkpoint.csv", "_temporary/0/part-0.csv", "_old.csv", "sub/.x/y.csv"]


def test_names_of_tools_are_no_lists(tmp_path: Path) -> None:
    root = filled(str(tmp_path / "a"), ["1.csv", "sub/_day=1/2.csv", *HIDDEN, "_SUCCESS.txt", ".~lock.txt"])
    assert [url for url, _, _ in found(root)] == [f"{root}/1.csv", f"{root}/sub/_day=1/2.csv"]
    assert found(f"{root}/_old.csv") == [(f"{root}/_old.csv", "lists", "_old.csv")]  # named, so it is meant
    tars = filled(
        str(tmp_path / "b"), ["1.tar", "._1.tar", "_temporary/2.tar", "._1.jpg", "__MACOSX/._2.jpg", "_x.csv"]
    )
    assert found(tars) == [(f"{tars}/1.tar", "tars", "1.tar")]
    photos = filled(str(tmp_path / "c"), ["_a.jpg", "_list.csv"])
    assert found(photos) == [(photos, "files", "")]


def test_patterns_match_a_leading_dot_only_explicitly(tmp_path: Path) -> None:
    root = filled(str(tmp_path / ".hidden"), ["1.csv", "._1.csv", ".x/2.csv", "y/3.csv"])
    assert [url for url, _, _ in found(f"{root}/*.csv")] == [f"{root}/1.csv"]
    assert [url for url, _, _ in found(f"{root}/**/*.csv")] == [f"{root}/1.csv", f"{root}/y/3.csv"]
    assert [url for url, _, _ in found(f"{root}/.*.csv")] == [f"{root}/._1.csv"]
    assert [url for url, _, _ in found(f"{root}/.x/*.csv", f"{root}/?/3.csv")] == [
        f"{root}/.x/2.csv",
        f"{root}/y/3.csv",
    ]


def check_names_that_are_patterns(root: str) -> None:
    filled(root, ["list [1].csv", "list 1.csv", "photos [a-z]?/1.jpg", "wds*/00000.tar"])
    assert found(f"{root}/list [1].csv") == [(f"{root}/list [1].csv", "lists", "list [1].csv")]
    assert found(f"{root}/photos [a-z]?") == [(f"{root}/photos [a-z]?", "files", "")]
    assert found(f"{root}/wds*") == [(f"{root}/wds*/00000.tar", "tars", "00000.tar")]
    assert [url for url, _, _ in found(f"{root}/list [12].csv")] == [
        f"{root}/list 1.csv"
    ]  # nothing is called so: a pattern


def test_an_existing_name_is_no_pattern(tmp_path: Path) -> None:
    check_names_that_are_patterns(str(tmp_path))


def test_an_existing_name_is_no_pattern_in_a_bucket(s3_bucket: str) -> None:
    check_names_that_are_patterns(s3_bucket)


SHARDS = [f"{name}.{kind}" for name in ("000000", "holdout-000000") for kind in ("tar", "idx", "npy", "parquet")]


def test_held_out_shards_are_left_out(tmp_path: Path) -> None:
    root = filled(str(tmp_path / "shards"), SHARDS)
    train, held = (
        (f"{root}/000000.tar", "tars", "000000.tar"),
        (f"{root}/holdout-000000.tar", "tars", "holdout-000000.tar"),
    )
    for given in (root, f"{root}/*.tar"):
        both = find_inputs(IngestConfig(input=(given,), output="corpus"))
        assert [each.name for each in both.inputs] == ["000000.tar"] and both.held_out == {given: 1}
        assert found(given) == [train]
    assert found(f"{root}/holdout-000000.tar") == found(f"{root}/holdout-*.tar") == [held]
    others = filled(str(tmp_path / "others"), ["000000.tar", "holdout-000000.tar"])  # no index of ours
    assert len(found(others)) == len(found(f"{others}/*.tar")) == 2
    alone = filled(str(tmp_path / "alone"), SHARDS[4:])
    for given in (alone, f"{alone}/*.tar"):
        with pytest.raises(InputError, match=r"nothing but held-out shards.*/holdout-\*\.tar"):
            found(given)


def test_a_corpus_is_named(tmp_path: Path) -> None:
    root = filled(str(tmp_path), ["corpus.json", "shards/000000.tar", "ledger/0.parquet"])
    with pytest.raises(InputError, match=r"a corpus .*give its shards: .*/shards"):
        found(root)


def test_metadata_beside_pictures_is_no_list_of_urls(tmp_path: Path) -> None:
    for name in METADATA:
        root = filled(str(tmp_path / name), ["train/1.jpg", f"train/{name}", "1.jpg", f"test/{name}"])
        assert found(root) == [(root, "files", "")]
    lists = filled(str(tmp_path / "lists"), ["metadata.parquet", "other.parquet"])
    assert [kind for _, kind, _ in found(lists)] == ["lists", "lists"]
