"""The content of a corpus: `corpus.json`, the only file that is ever replaced, and the shard table that it names by
digest."""

import builtins
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tagmill.shards.errors import CorpusError, IntegrityError, OvertakenError
from tagmill.shards.formats.parquet import read_table, table_bytes
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.formats.shared_tables import parquet_batches, row_of, shared_object, shared_table
from tagmill.shards.storage.store import Store
from tagmill.shards.takedown import Takedown

CORPUS = "corpus.json"
AMENDS = 100  # a commit takes milliseconds, and each lost race means that another commit succeeded
FORMAT = "1"  # format "0" was a draft without compatibility promises
SPLITS = ("train", "holdout")

SHARDS = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in [
            ("name", pa.string()),
            ("split", pa.string()),
            ("samples", pa.int64()),
            ("bytes", pa.int64()),
            ("tar_sha256", pa.string()),
            ("index_sha256", pa.string()),
            ("table_sha256", pa.string()),
        ]
    ]
)


# The columns that planning and reading need, without the digests, which take most of the bytes.
SHARD_TABLE = pa.schema([SHARDS.field(name) for name in ("name", "split", "samples", "bytes")])


def stats_json(samples: int) -> bytes:
    """Returns the content of a `_stats.json` of img2dataset for a tar with this many samples, none of them failed."""
    counts = {"count": samples, "successes": samples, "failed_to_download": 0, "failed_to_resize": 0}
    return json.dumps({**counts, "status_dict": {"success": samples}}, indent=4).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class ShardLine:
    """The columns of the manifest that reading one shard needs; `bytes` is the size of the tar."""

    name: str
    split: str
    samples: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ShardEntry(ShardLine):
    """One shard's whole line of the manifest: `tar_sha256` is the digest of the tar, the others those of its index and
    table."""

    tar_sha256: str
    index_sha256: str
    table_sha256: str

    def stats(self) -> builtins.bytes:
        """Returns `_stats.json`: counts by status as img2dataset writes them. Rejects are counted elsewhere."""
        return stats_json(self.samples)


@dataclass(frozen=True)
class Named:
    """An object named by its content: its path in the corpus and the sha256 of its bytes."""

    path: str
    sha256: str


@dataclass(frozen=True)
class CorpusFile:
    """The content of `corpus.json`."""

    name: str
    manifest: Named
    totals: dict[str, int]
    views: dict[str, Named] = field(default_factory=dict)
    takedown: Named | None = None
    image_policy: dict[str, Any] = field(default_factory=dict)
    image_stack: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    code_version: str = ""
    lineage: list[dict[str, Any]] = field(default_factory=list)
    format: str = FORMAT


def put_manifest(store: Store, entries: list[ShardEntry], note: "Callable[[str], None]" = lambda path: None) -> Named:
    """Writes the shard table under the name of its content; calls `note` with it first. Entries must be in order,
    held-out shards last."""
    if unknown := {entry.split for entry in entries} - set(SPLITS):
        raise CorpusError(f"splits {sorted(unknown)} in a manifest", store.url, f"there are {SPLITS}")
    ordered = sorted(entries, key=lambda entry: (SPLITS.index(entry.split), entry.name))
    if ordered != entries:
        raise CorpusError("shards out of order in a manifest", store.url, "train shards come first, in order of name")
    if len({entry.name for entry in entries}) != len(entries):
        raise CorpusError("two shards of one name in a manifest", store.url, "give each shard a unique name")
    data = table_bytes([asdict(entry) for entry in entries], SHARDS)
    digest = sha256_hex(data)
    named = Named(f"manifests/shards-{digest[:12]}.parquet", digest)
    note(named.path)
    if not store.put_new(named.path, data):
        read_named(store, named)  # an object of that name must have the same bytes
    return named


def commit(store: Store, corpus: CorpusFile, over: CorpusFile | None = None) -> None:
    """Makes a generation of the corpus visible by one atomic put. All objects that it names must be in the store
    already.

    With `over`, only if the current generation is `over`, or already this one, as after a run that was killed just
    after its commit. Raises OvertakenError if it is another.
    """
    data = json.dumps(asdict(corpus), indent=2, sort_keys=True).encode() + b"\n"
    if over is None:
        store.put(CORPUS, data)
        return
    old = store.read(CORPUS)
    if data == old:
        return
    if _parsed(old, f"{store.url.rstrip('/')}/{CORPUS}") != over or not store.exchange(CORPUS, old, data):
        what = "another command has changed the corpus in the meantime; nothing was committed"
        raise OvertakenError(what, store.url, "run the command again")


def amend(corpus: "Corpus", change: "Callable[[Corpus], CorpusFile]") -> "Corpus":
    """Commits what `change` makes of the current corpus, again if another process commits meanwhile; returns
    the corpus after it. Raises OvertakenError if it loses too many races.

    A change must be idempotent: if two processes make the same generation at once, one commit is enough.
    """
    for attempt in range(AMENDS):
        now = Corpus.open(corpus.store.url, corpus.cache)
        try:
            commit(now.store, change(now), now.file)
            break
        except OvertakenError:
            if attempt == AMENDS - 1:
                raise
    return Corpus.open(corpus.store.url, corpus.cache)


@dataclass(frozen=True)
class Corpus:
    """A corpus for reading: one generation, pinned by digests, whatever is committed after it was opened.

    `entry` and `column` serve corpora of any size; `entries` makes an object for each shard, for code that reads all of
    them.
    """

    store: Store
    file: CorpusFile
    cache: Path | None = None  # folder in which the processes of a machine share large tables; None: not shared

    @classmethod
    def open(cls, url: str, cache: Path | None = None) -> "Corpus":
        """Reads `corpus.json`. Raises CorpusError if there is none, or one of another format version."""
        store = Store(url)
        where = f"{url.rstrip('/')}/{CORPUS}"
        try:
            data = store.read(CORPUS)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise CorpusError("no corpus here", where, "give the folder or bucket prefix that ingest wrote") from error
        return cls(store, _parsed(data, where), cache)

    @cached_property
    def table(self) -> pa.Table:
        """The columns of the shard table that reading needs (schema LINES), checked against its digest when it is
        decoded."""
        named = self.file.manifest
        return shared_table(
            self.cache,
            f"lines-{named.sha256}",
            SHARD_TABLE,
            lambda: parquet_batches(read_named(self.store, named), SHARD_TABLE),
        )

    @cached_property
    def entries(self) -> list[ShardEntry]:
        """The shards in corpus order, held-out ones last; purged ones with their digests after the purge."""
        return [
            replace(entry, tar_sha256=digests.tar_sha256, table_sha256=digests.table_sha256)
            if (digests := self.takedown.digests(entry.name))
            else entry
            for entry in self.written_entries
        ]

    @property
    def written_entries(self) -> list[ShardEntry]:
        """The lines of the manifest."""
        table = read_table(read_named(self.store, self.file.manifest), SHARDS.names)
        return [ShardEntry(**row) for row in table.cast(SHARDS).to_pylist()]

    @cached_property
    def takedown(self) -> Takedown:
        """The takedown list, which may be empty."""
        named = self.file.takedown
        if named is None:
            return Takedown()
        return Takedown.parse(read_named(self.store, named, self.cache), f"{self.store.url.rstrip('/')}/{named.path}")

    def entry(self, number: int) -> ShardLine:
        """Returns one shard by its number in the corpus order."""
        return ShardLine(**row_of(self.table, number))

    def column(self, name: str) -> npt.NDArray[np.int64]:
        """Returns `samples` or `bytes` of every shard, in corpus order."""
        values: npt.NDArray[np.int64] = self.table[name].to_numpy()
        return values

    def shards_of(self, split: str) -> range:
        """Returns the numbers of a split's shards in the corpus order, which are consecutive."""
        numbers = np.flatnonzero(pc.equal(self.table["split"], split).to_numpy())
        found = range(int(numbers[0]), int(numbers[-1]) + 1) if len(numbers) else range(0)
        if len(found) != len(numbers):
            remedy = "restore the manifest that ingest wrote"
            raise CorpusError(f"the shards of split {split!r} are not consecutive", self.store.url, remedy)
        return found

    @property
    def digest(self) -> bytes:
        """sha256 of the shard table, 32 bytes: it pins the corpus for a training run."""
        return bytes.fromhex(self.file.manifest.sha256)


def _parsed(data: bytes, where: str) -> CorpusFile:
    try:
        text = json.loads(data)
    except ValueError as error:
        raise CorpusError(f"not a corpus file: {error}", where, "restore it from the run that wrote it") from error
    found = text.get("format") if isinstance(text, dict) else None
    if found != FORMAT:
        remedy = "read it with the tagmill version that wrote it, or ingest again"
        raise CorpusError(f"corpus format {found!r}, this version reads {FORMAT!r}", where, remedy)
    try:
        views = {name: _named(view) for name, view in text["views"].items()}
        takedown = _named(text["takedown"]) if text["takedown"] else None
        return CorpusFile(**{**text, "views": views, "manifest": _named(text["manifest"]), "takedown": takedown})
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise CorpusError(f"not a corpus file: {error}", where, "restore it from the run that wrote it") from error


def _named(text: dict[str, str]) -> Named:
    named = Named(**text)
    if not isinstance(named.path, str) or len(bytes.fromhex(named.sha256)) != 32:
        raise ValueError(f"{text} does not name an object with its sha256")
    return named


def read_named(store: Store, named: Named, shared: Path | None = None) -> bytes:
    """Reads the bytes of an object named by content: of a remote store once a machine, if `shared` is a folder for its
    processes. Raises IntegrityError if they are missing or differ."""
    where = f"{store.url.rstrip('/')}/{named.path}"
    try:
        folder = shared if store.root is None else None
        data = shared_object(folder, named.sha256, lambda: store.read(named.path))
    except FileNotFoundError as error:
        raise IntegrityError("missing from the corpus", where, "restore it") from error
    if sha256_hex(data) != named.sha256:
        raise IntegrityError("altered: its sha256 differs from the one in the corpus", where, "restore it")
    return data
