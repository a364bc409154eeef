"""Exports a corpus to other formats, a part for each shard: resumable, with bounded memory, without what is taken down.

`export.json` in the output says what is exported there; it is put only where there is none. After the objects of a part a
marker is written, `.export/SPLIT-NNNNN.json`, with their digests and a digest of the samples that were left out. The same
command goes on after the last marker, and writes parts again whose samples were taken down since.
"""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.exchange.columns import label_names, own_columns
from tagmill.shards.exchange.img2dataset_files import Img2datasetFiles
from tagmill.shards.exchange.parquet_card import parquet_card
from tagmill.shards.exchange.parquet_files import ParquetFiles
from tagmill.shards.exchange.records import ExportRecord, Recipe, finish_record, parts_of, put_record, safe_address
from tagmill.shards.exchange.samples import Block, Part, blocks
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.manifest import SPLITS, Corpus
from tagmill.shards.many_requests import in_order
from tagmill.shards.progress.counts import counted
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.storage.local_disk import full_disks
from tagmill.shards.storage.store import Store
from tagmill.shards.view import View

PIN = "export.json"
MARKERS = ".export"
EXPORT_CARD = "README.md"


class Files(Protocol):
    """A format of an export."""

    def names(self, part: Part) -> list[str]:
        """Returns the objects of a part."""

    def write(self, part: Part, blocks: Iterable[Block], folder: Path) -> int:
        """Writes the objects of a part below a local folder and returns the number of samples."""


@dataclass(frozen=True)
class Wanted:
    """What is exported, and to where."""

    corpus: str
    output: str
    format: str = "parquet"
    view: str = "default"
    splits: tuple[str, ...] = SPLITS
    limit: int | None = None
    at_once: int = 4  # parts at a time
    spool: str | None = None  # local folder for the parts in work
    record: bool = True  # in the corpus


@dataclass(frozen=True)
class Exported:
    """What an export has, and what this call wrote."""

    output: str
    parts: int
    samples: int
    bytes: int
    taken_down: int  # samples left out
    written: int  # parts that this call wrote


def export(wanted: Wanted, progress: Progress | None = None) -> Exported:
    """Exports a corpus; `progress` counts the parts. If the process is killed, the same call goes on.

    Raises ConfigError where the output holds something else, CorpusError where there is nothing to export, IntegrityError
    for bytes of the corpus that are not those written.
    """
    corpus = Corpus.open(wanted.corpus)
    output = Store(wanted.output)
    _check_apart(corpus.store, output)
    view = View.open(corpus, wanted.view)
    named = corpus.file.views[wanted.view]
    recipe = Recipe(wanted.format, corpus.file.manifest, wanted.view, named.sha256, wanted.splits, wanted.limit)
    parts = parts_of(corpus.written_entries, wanted.splits, wanted.limit)
    if not parts:
        raise CorpusError(f"no samples of {' and '.join(wanted.splits)}", wanted.corpus, "leave --split out")
    _pin(output, recipe, corpus.file.name)
    record = ExportRecord(safe_address(output.url), recipe, _now(), corpus.file.takedown)
    if wanted.record:
        record = put_record(corpus, record)
    files = _files(wanted.format, corpus, view, parts)
    with ExitStack() as stack:
        stack.enter_context(full_disks(wanted.spool))
        spool = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tagmill-", dir=wanted.spool)))
        run = _Run(corpus, view, files, output, spool)
        found = run.all(parts, wanted.at_once, progress or Silent())
    if isinstance(files, ParquetFiles):
        output.put(EXPORT_CARD, parquet_card(corpus, wanted.view, {part.entry.split for part in parts}, found.samples))
    if wanted.record:
        finish_record(run.corpus, record, _now())
    return found


@dataclass
class _Run:
    """An export under way; `corpus` has the newest takedown list."""

    corpus: Corpus
    view: View
    files: Files
    output: Store
    spool: Path

    def __post_init__(self) -> None:
        self._lock = Lock()
        self._written = 0

    def all(self, parts: Sequence[Part], at_once: int, progress: Progress) -> Exported:
        """Writes all parts that are missing, and those with samples that were taken down since, until the list rests."""
        while True:
            list_before = self._newest().file.takedown
            sums: Counter[str] = Counter()
            progress.stage("export", len(parts))
            for marker in counted(progress, in_order(self._part, parts, at_once)):
                sums["samples"] += marker["samples"]
                sums["bytes"] += sum(each["bytes"] for each in marker["objects"].values())
                sums["taken_down"] += marker["taken_down"]
            if self._newest().file.takedown == list_before:
                return Exported(safe_address(self.output.url), len(parts), written=self._written, **sums)

    def _newest(self) -> Corpus:
        """Returns the corpus that is exported, with the takedown list of this moment."""
        now = Corpus.open(self.corpus.store.url)
        with self._lock:
            if now.file.takedown != self.corpus.file.takedown:
                self.corpus = Corpus(self.corpus.store, replace(self.corpus.file, takedown=now.file.takedown))
            return self.corpus

    def _part(self, part: Part) -> dict[str, Any]:
        """Returns the marker of a part, which is written first unless it is there already."""
        corpus = self._newest()
        name = f"{MARKERS}/{part.entry.split}-{part.place:05d}.json"
        out = [each for each in corpus.takedown.ordinals(part.entry.name).tolist() if each < part.samples]
        left_out = sha256_hex(json.dumps(out).encode())
        marker = self._marker(name, part)
        if marker is not None and marker["left_out"] == left_out:
            return marker
        if digests := corpus.takedown.digests(part.entry.name):
            entry = replace(part.entry, tar_sha256=digests.tar_sha256, table_sha256=digests.table_sha256)
            part = replace(part, entry=entry)
        with tempfile.TemporaryDirectory(dir=self.spool) as folder:
            samples = self.files.write(part, blocks(corpus, self.view, part), Path(folder))
            objects = {}
            for each in self.files.names(part):
                path = Path(folder) / each
                objects[each] = {"bytes": path.stat().st_size, "sha256": _digest(path)}
                self.output.put(each, path, give=True)
        counts = {"samples": samples, "taken_down": part.samples - samples}
        marker = {"objects": objects, **counts, "left_out": left_out}
        self.output.put(name, json.dumps(marker, indent=1, sort_keys=True).encode() + b"\n")
        with self._lock:
            self._written += 1
        return marker

    def _marker(self, name: str, part: Part) -> dict[str, Any] | None:
        """Reads the marker of a part; None where it is missing or broken, or an object has not the length that it says."""
        try:
            marker = json.loads(self.output.read(name))
            sizes = {each: int(facts["bytes"]) for each, facts in marker["objects"].items()}
            counts = [int(marker[count]) for count in ("samples", "taken_down")]
            whole = sorted(sizes) == sorted(self.files.names(part)) and sum(counts) == part.samples
            whole = whole and "left_out" in marker and all(self.output.size(each) == sizes[each] for each in sizes)
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return marker if whole else None


def _files(kind: str, corpus: Corpus, view: View, parts: Sequence[Part]) -> Files:
    labels, own = label_names(view.vocabulary), own_columns(corpus.store, parts)
    if kind == "img2dataset":
        return Img2datasetFiles(labels, own)
    return ParquetFiles(labels, own, Counter(part.entry.split for part in parts))


def _check_apart(corpus: Store, output: Store) -> None:
    """Raises ConfigError where one of two stores is inside the other."""
    one, other = (f"{store.root or store.url}".rstrip("/") + "/" for store in (corpus, output))
    if one.startswith(other) or other.startswith(one):
        raise ConfigError("the output is in the corpus, or the corpus in it", output.url, "choose another output")


def _pin(output: Store, recipe: Recipe, name: str) -> None:
    """Claims an empty output for an export. Raises ConfigError where there is anything else but this export."""
    data = json.dumps({"corpus": name, **asdict(recipe)}, indent=2, sort_keys=True).encode() + b"\n"
    if not output.exists(PIN):
        other = next((found for found, _ in output.listing() if not found.startswith(".")), None)
        if other is not None:
            what = f"the output is not empty: it has {other!r}"
            raise ConfigError(what, safe_address(output.url), "choose an empty folder or prefix")
        if output.put_new(PIN, data):
            return
    if output.read(PIN) != data:
        what = "another export is there: of another corpus, view, format or selection"
        raise ConfigError(what, safe_address(output.url), "choose another output, or delete that export")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
