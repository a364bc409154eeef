"""What a corpus knows of its exports: `exports/<sha12>.json`, one of each. A takedown names those that have copies of what
it takes down."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tagmill.shards.errors import CorpusError, IntegrityError, TagmillError
from tagmill.shards.exchange.samples import Part
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.manifest import SHARDS, Corpus, Named, ShardEntry, read_named
from tagmill.shards.many_requests import read_many
from tagmill.shards.takedown import Takedown

FOLDER = "exports"


@dataclass(frozen=True)
class Recipe:
    """What the samples and bytes of an export are a function of, beside the takedown list."""

    format: str
    manifest: Named
    view: str
    view_sha256: str
    splits: tuple[str, ...]
    limit: int | None

    @classmethod
    def of(cls, found: dict[str, Any]) -> "Recipe":
        """Reads the JSON of one. Raises TypeError or KeyError for other JSON."""
        return cls(**{**found, "manifest": Named(**found["manifest"]), "splits": tuple(found["splits"])})


@dataclass(frozen=True)
class ExportRecord:
    """An export of a corpus. It has none of the samples of the list `takedown`."""

    output: str  # address without user, password and query
    recipe: Recipe
    begun: str  # time
    takedown: Named | None = None
    finished: str | None = None  # time; None until all parts are written

    @property
    def name(self) -> str:
        """Its object in the corpus."""
        text = json.dumps([self.output, asdict(self.recipe)], sort_keys=True)
        return f"{FOLDER}/{sha256_hex(text.encode())[:12]}.json"

    def json(self) -> bytes:
        return json.dumps(asdict(self), indent=2, sort_keys=True).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes, where: str) -> "ExportRecord":
        """Parses `json`'s bytes. Raises CorpusError for others."""
        try:
            found = json.loads(data)
            takedown = Named(**found["takedown"]) if found["takedown"] else None
            return cls(**{**found, "recipe": Recipe.of(found["recipe"]), "takedown": takedown})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorpusError(f"not the record of an export: {error}", where, "restore it or delete it") from error


@dataclass(frozen=True)
class OutdatedExport:
    """An export that may have copies of samples that are taken down."""

    output: str
    samples: int  # at most


def safe_address(url: str) -> str:
    """Returns an address without what may be secret in it: user, password, query and fragment."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def parts_of(entries: Sequence[ShardEntry], splits: Sequence[str], limit: int | None) -> list[Part]:
    """Returns the parts of an export: a part a shard, and of all splits together the first `limit` samples, before any is
    left out because it was taken down."""
    left = limit if limit is not None else sum(entry.samples for entry in entries)
    places = dict.fromkeys(splits, 0)
    found = list[Part]()
    for number, entry in enumerate(entries):
        if entry.split in places and left > 0:
            found.append(Part(number, entry, places[entry.split], min(left, entry.samples)))
            places[entry.split] += 1
            left -= found[-1].samples
    return found


def put_record(corpus: Corpus, record: ExportRecord) -> ExportRecord:
    """Writes the record of an export that begins, and returns it; of one that was begun before, returns that record."""
    if corpus.store.put_new(record.name, record.json()):
        return record
    return ExportRecord.parse(corpus.store.read(record.name), f"{corpus.store.url}/{record.name}")


def finish_record(corpus: Corpus, record: ExportRecord, at: str) -> None:
    """Notes that all parts of an export are written, without what the corpus's present list takes down."""
    corpus.store.put(record.name, replace(record, takedown=corpus.file.takedown, finished=at).json())


def outdated_exports(corpus: Corpus) -> list[OutdatedExport]:
    """Returns the recorded exports that may have samples of the corpus's takedown list, in order of address. A record that
    cannot be read counts as an export of everything."""
    found = [each for each in _outdated(corpus) if each.samples]
    return sorted(found, key=lambda each: (each.output, each.samples))


def _outdated(corpus: Corpus) -> Iterator[OutdatedExport]:
    names = [name for name in corpus.store.names(FOLDER) if name.endswith(".json")]
    for name, data in zip(names, read_many(corpus.store, names), strict=True):
        where = f"{corpus.store.url}/{name}"
        try:
            record = ExportRecord.parse(data, where)
            yield OutdatedExport(record.output, _copies(corpus, record))
        except TagmillError:
            yield OutdatedExport(f"an export whose record cannot be read: {where}", corpus.takedown.num_samples)


def _copies(corpus: Corpus, record: ExportRecord) -> int:
    """How many samples of the present list an export may have."""
    if record.takedown == corpus.file.takedown:
        return 0
    recipe, before = record.recipe, Takedown()
    if record.takedown is not None:
        try:
            before = Takedown.parse(read_named(corpus.store, record.takedown), record.takedown.path)
        except IntegrityError:  # an old list that was deleted: what it had may be in the export
            before = Takedown()
    listed = {shard for shard in corpus.takedown.shards if len(corpus.takedown.ordinals(shard))}
    table = read_table(read_named(corpus.store, recipe.manifest), SHARDS.names)
    entries = [ShardEntry(**row) for row in table.cast(SHARDS).to_pylist()] if listed else []
    count = 0
    for part in parts_of(entries, recipe.splits, recipe.limit):
        if part.entry.name in listed:
            now = {each for each in corpus.takedown.ordinals(part.entry.name).tolist() if each < part.samples}
            count += len(now - set(before.ordinals(part.entry.name).tolist()))
    return count
