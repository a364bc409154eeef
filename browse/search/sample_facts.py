"""All that a corpus says of one sample, each part read by ranges; what cannot be read is an error beside the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tagmill.browse.search.snapshot import Snapshot
from tagmill.shards.errors import CorpusError, TagmillError
from tagmill.shards.formats.shard_index import key_hex
from tagmill.shards.reader import ShardReader
from tagmill.shards.vocabulary import Label

TAGS_SHOWN = 50  # of one sample


@dataclass(frozen=True)
class OneSample:
    """One sample: where it is, its facts and its labels in each view."""

    shard: int
    name: str  # of the shard
    split: str
    ordinal: int
    key: str
    place: dict[str, Any]  # offset, size, crc32, width and height in the shard's index
    facts: dict[str, Any] = field(default_factory=dict)  # of the JSON member beside the image
    labels: dict[str, list[Label]] = field(default_factory=dict)  # by view
    errors: tuple[str, ...] = ()


def reader_of(snapshot: Snapshot, shard: int, ordinal: int) -> ShardReader:
    """Returns the reader of a sample's shard. Raises CorpusError if there is no such sample."""
    if not 0 <= shard < snapshot.num_shards:
        raise CorpusError(f"no shard number {shard}", snapshot.corpus.store.url, "go back to the first page")
    line = snapshot.corpus.entry(shard)
    if not 0 <= ordinal < line.samples:
        what = f"no sample {ordinal}: the shard has {line.samples}"
        raise CorpusError(what, f"{snapshot.corpus.store.url}/shards/{line.name}.tar", "go back to the first page")
    return ShardReader.of(snapshot.corpus, line)


def read_facts(snapshot: Snapshot, shard: int, ordinal: int) -> OneSample:
    """Reads the facts of a sample, not its image. Raises CorpusError if there is none, it is taken down, or the shard's
    index cannot be read."""
    reader = reader_of(snapshot, shard, ordinal)
    record = reader.record(ordinal)
    errors, facts = list[str](), dict[str, Any]()
    try:
        facts = reader.facts(record)
    except TagmillError as error:
        errors.append(str(error))
    labels = labels_of_views(snapshot, shard, ordinal, snapshot.view_names, errors)
    place = {name: int(record[name]) for name in ("offset", "size", "crc32", "width", "height")}
    line = reader.entry
    return OneSample(shard, line.name, line.split, ordinal, key_hex(record), place, facts, labels, tuple(errors))


def labels_of_views(
    snapshot: Snapshot, shard: int, ordinal: int, views: Sequence[str], errors: list[str]
) -> dict[str, list[Label]]:
    """Reads the labels of a sample in views; a view that cannot be read adds to `errors`."""
    found = dict[str, list[Label]]()
    for name in views:
        try:
            labels = snapshot.vocabulary(name).labels
            ids = snapshot.view(name).labels(shard, ordinal, ordinal + 1)[0].tolist()
        except TagmillError as error:
            errors.append(str(error))
            continue
        if any(number >= len(labels) for number in ids):
            errors.append(f"view {name}: a label that its vocabulary lacks: run lint")
        found[name] = [labels[number] for number in ids if 0 <= number < len(labels)]
    return found


def fact_lines(sample: OneSample) -> list[tuple[str, str]]:
    """Returns the facts of a sample as pairs of a name and a text, in the order in which a person reads them; the texts
    are as stored, and not safe to print."""
    facts = dict(sample.facts)
    tags = facts.pop("tags", [])
    tags = tags if isinstance(tags, list) else [tags]
    more = f" and {len(tags) - TAGS_SHOWN:,} more" if len(tags) > TAGS_SHOWN else ""
    lines = [("tags", ", ".join(str(tag) for tag in tags[:TAGS_SHOWN]) + more)]
    for view, labels in sample.labels.items():
        names = ", ".join(f"{label.name} ({'+'.join(label.synsets)})" for label in labels)
        lines.append((f"labels in view {view}", names or "none"))
    place = sample.place
    lines += [
        ("image", f"{place['width']} x {place['height']} pixels, {place['size']:,} bytes, crc32 {place['crc32']}"),
        ("place", f"shards/{sample.name}.tar, sample {sample.ordinal}, offset {place['offset']:,}, {sample.split}"),
    ]
    shown = {"key", "width", "height"}
    lines += [(name, "" if value is None else str(value)) for name, value in facts.items() if name not in shown]
    return lines
