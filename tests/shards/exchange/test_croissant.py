"""The Croissant description: names that resolve, digests that are right, files that are there, nothing of a sample."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tagmill.shards.exchange.croissant import SAMPLE_FIELDS, croissant
from tagmill.shards.exchange.facts import corpus_facts
from tagmill.shards.manifest import Corpus
from tests.shards.exchange.exports import corpus_in, wished
from tests.shards.purger import take_down


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_in(tmp_path)


def described(corpus: Corpus) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(croissant(corpus_facts(corpus)))
    return found


def nodes(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        yield found
        for name, value in found.items():
            if name != "@context":
                yield from nodes(value)
    elif isinstance(found, list):
        for each in found:
            yield from nodes(each)


def test_every_reference_names_something_and_no_two_have_one_name(corpus: Corpus) -> None:
    found = list(nodes(described(corpus)))
    names = [each["@id"] for each in found if "@type" in each and "@id" in each]
    assert len(names) == len(set(names))
    references = {each["@id"] for each in found if list(each) == ["@id"]}
    assert references and references <= set(names)


def test_files_are_there_with_their_digests(corpus: Corpus) -> None:
    root, files = Path(corpus.store.url), described(corpus)["distribution"]
    for each in files:
        if each["@type"] == "cr:FileObject":
            assert each["sha256"] == hashlib.sha256((root / each["contentUrl"]).read_bytes()).hexdigest()
    includes = {each["@id"]: each["includes"] for each in files if each["@type"] == "cr:FileSet"}
    matched = {name: sorted(path.stem for path in root.glob(glob)) for name, glob in includes.items()}
    assert matched["tars-train"] == ["000000", "000001"] and matched["tars-holdout"] == ["holdout-000000"]
    assert len(matched["tables"]) == len(matched["label-files-default"]) == 3


def test_fields_are_columns_of_the_tables(corpus: Corpus) -> None:
    columns = pq.read_schema(Path(corpus.store.url) / "shards/000000.parquet").names
    assert set(SAMPLE_FIELDS) <= set(columns)
    sets = {each["@id"]: {field["@id"] for field in each["field"]} for each in described(corpus)["recordSet"]}
    assert {"samples/tags", "samples/url", "samples/licence"} <= sets["samples"]
    assert sets["images"] == {"images/key", "images/image"} and "labels-default/name" in sets["labels-default"]


def test_what_is_not_known_is_said(corpus: Corpus) -> None:
    found = described(corpus)
    assert found["license"].startswith("Unknown") and found["conformsTo"].endswith("croissant/1.1")
    assert "15 samples (12 in the split train, 3 in the split holdout)" in found["description"]


def test_runs_have_their_config_and_the_version(corpus: Corpus) -> None:
    runs = [{"config_sha256": "ab" * 32, "rows": 20}, {"rows": 5}]
    file = replace(corpus.file, lineage=runs, code_version="9.8")
    found = described(Corpus(corpus.store, file))
    first, second = found["prov:wasGeneratedBy"]
    assert "ab" * 32 in first["prov:label"] and "20 rows" in first["prov:label"] and "unknown" in second["prov:label"]
    assert first["prov:wasAssociatedWith"]["prov:label"] == "tagmill 9.8" and found["version"] == "2.0.0"


def test_samples_taken_down_are_a_number(corpus: Corpus) -> None:
    text = croissant(corpus_facts(take_down(corpus, [("000000", 1)]))).decode()
    assert "1 of them are taken down" in text
    assert not any(word in text for number in range(15) for word in (wished(number).key, wished(number).url))
