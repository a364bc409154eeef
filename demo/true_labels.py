"""The true labels of a demo corpus: what each sample shows, from the web's own truth and never from tags."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.demo.made_folder import replaced
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import View
from tagmill.studies.chain.label_views import for_validation

ALL_FILE, FEW_FILE = "true_labels.parquet", "few_labels.parquet"
SHOTS = 10
"""Training samples of each class in FEW_FILE, as far as there are any."""

TRUE_LABELS = pa.schema(
    [
        ("key", pa.string()),
        (
            "label",
            pa.string(),
        ),  # synsets of the label of view `default`, with + between; the concept's where it has none
        ("synset", pa.string()),  # of the concept that was drawn
        ("part", pa.string()),  # train, validation or holdout
    ]
)


def write_true_labels(web: Path, corpus: Path, output: Path) -> pa.Table:
    """Writes ALL_FILE, with a row of schema TRUE_LABELS for each sample in corpus order, and FEW_FILE, with SHOTS samples of
    each label from the part `train` and all of `holdout`. Returns the content of the first. `tagmill corpus view --labels`
    takes both. Raises KeyError for a sample that is not of this web."""
    table = true_labels(web, corpus)
    replaced(output / ALL_FILE, lambda part: pq.write_table(table, part))
    few = few_labels(table, SHOTS)
    replaced(output / FEW_FILE, lambda part: pq.write_table(few, part))
    return table


def true_labels(web: Path, corpus: Path) -> pa.Table:
    """Returns the true label of each sample, schema TRUE_LABELS. Raises KeyError for a sample that is not of this web."""
    truth = pq.read_table(web / "truth.parquet", columns=["path", "synset"])
    drawn = dict(zip(truth["path"].to_pylist(), truth["synset"].to_pylist(), strict=True))
    opened = Corpus.open(str(corpus))
    labels = labels_of_synsets(View.open(opened, "default"))
    rows = []
    for entry in opened.entries:
        facts = pq.read_table(corpus / "shards" / f"{entry.name}.parquet", columns=["key", "url"])
        for key, url in zip(facts["key"].to_pylist(), facts["url"].to_pylist(), strict=True):
            synset = drawn[urlsplit(url).path]
            rows.append((key, labels.get(synset, synset), synset, part_of(key, entry.split)))
    columns = zip(*rows, strict=True) if rows else [()] * len(TRUE_LABELS)
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=TRUE_LABELS)


def labels_of_synsets(view: View) -> Mapping[str, str]:
    """Returns the label of each synset, as the label's synsets with + between. Of several labels with the same synset, the one
    with the most training images counts, and of equal ones the first."""
    found: dict[str, str] = {}
    for label in sorted(view.vocabulary.labels, key=lambda label: -label.images):
        for synset in label.synsets:
            found.setdefault(synset, "+".join(label.synsets))
    return found


def part_of(key: str, split: str) -> str:
    """Returns the part of a sample; it stays in its part when the corpus grows."""
    return "validation" if split == "train" and for_validation(key) else split


def few_labels(table: pa.Table, shots: int) -> pa.Table:
    """Returns the held-out rows, and of the part `train` the first `shots` keys of each label, in the order of the table."""
    keys = defaultdict[str, list[str]](list)
    for key, label, part in zip(*(table[name].to_pylist() for name in ("key", "label", "part")), strict=True):
        if part == "train":
            keys[label].append(key)
    kept = {key for some in keys.values() for key in sorted(some)[:shots]}
    chosen = [
        part == "holdout" or key in kept
        for key, part in zip(table["key"].to_pylist(), table["part"].to_pylist(), strict=True)
    ]
    return table.filter(pa.array(chosen, pa.bool_()))
