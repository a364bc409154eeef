"""Reads evaluation sets: folders of images, tars, or tables of hashes."""

import asyncio
import csv
import io
import logging
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dedup.decontamination import ENTRIES, EvaluationSets
from tagmill.ingest.images.decode_pool import Decoders
from tagmill.ingest.images.rejected import Rejected
from tagmill.ingest.similarity.hex_hashes import pdq_words, sha256_text
from tagmill.ingest.text.text_files import text_of
from tagmill.shards.errors import ConfigError, StoreError
from tagmill.shards.storage.store import Store

log = logging.getLogger(__name__)

EVALUATION_SUFFIXES = frozenset([".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm"])
_MEMBER = re.compile(r"(.*?\.tar)/", re.IGNORECASE | re.DOTALL)  # the tar that has a file, in the file's name
_AHEAD = 32  # images in memory
_REMEDY = "give a folder of images or of tars, a tar, or a .parquet or .csv with columns sha256 and/or pdq"
_HASHES = "give 64 hex digits in sha256 or pdq, or in both, and leave the other empty; remove rows without a hash"


@dataclass(frozen=True)
class EvaluationFile:
    """A file of a set that should be an image."""

    name: str
    body: bytes


def read_sets(config: IngestConfig) -> EvaluationSets:
    """Reads all evaluation sets of a config; images are fingerprinted like those of the corpus.

    Raises ConfigError where a set cannot be read or has no images.
    """
    lines: list[dict[str, Any]] = []
    broken: dict[str, int] = {}
    for text in config.evaluation_set:
        name, _, path = text.partition("=")
        try:
            found, bad = _table(path) if path.lower().endswith((".parquet", ".csv")) else _pictures(config, path)
        except (OSError, StoreError, pa.ArrowException, tarfile.TarError, csv.Error) as error:
            raise ConfigError(f"cannot be read: {error}", f"evaluation set {name}, {path}", _REMEDY) from error
        if not found:
            what = f"no valid image among {bad} files" if bad else "no images"
            raise ConfigError(what, f"evaluation set {name}, {path}", _REMEDY)
        broken[name] = bad
        lines += [{"set": name, **line} for line in sorted(found, key=lambda line: str(line["name"]))]
    return EvaluationSets(
        pa.Table.from_pylist(lines, ENTRIES),
        broken,
        config.evaluation_threshold,
        config.near_quality,
        config.evaluation == "remove",
    )


def _table(path: str) -> tuple[list[dict[str, Any]], int]:
    """Reads a table of hashes. Raises ConfigError that names a row without a hash."""
    folder, _, name = path.rpartition("/")
    data = Store(folder or ".").read(name)
    if path.lower().endswith(".parquet"):
        file = pq.ParquetFile(io.BytesIO(data))
        named = _columns(file.schema_arrow.names, path)
        rows = file.read(list(named), use_threads=False).to_pylist()
    else:
        reader = csv.DictReader(io.StringIO(text_of(data, path)))
        named = _columns(reader.fieldnames or [], path)
        rows = list(reader)
    lines = []
    for number, cells in enumerate(rows, 1):
        row = {ours: cells[theirs] for theirs, ours in named.items()}
        digest, pdq = str(row.get("sha256") or ""), str(row.get("pdq") or "")
        sha256, words = sha256_text(digest), pdq_words(pdq)
        if (digest and sha256 is None) or (pdq and words is None) or not (digest or pdq):
            raise ConfigError("no sha256 and no PDQ hash of 64 hex digits", f"{path}, row {number}", _HASHES)
        line: dict[str, Any] = {"name": str(row.get("name") or f"row {number:09d}"), "sha256": sha256}
        lines.append(line | {f"pdq{number}": word for number, word in enumerate(words or [None] * 4)})
    counts = {
        kind: sum(line[column] is not None for line in lines)
        for kind, column in (("pdq", "pdq0"), ("sha256", "sha256"))
    }
    log.info("evaluation set %s: %s", path, ", ".join(f"{count:,} {kind}" for kind, count in counts.items()))
    return lines, 0


def _columns(names: Sequence[str], path: str) -> dict[str, str]:
    """Returns the columns to read, by their names in the table. Raises ConfigError where no column has hashes."""
    found = {name: name.strip().lower().replace("-", "") for name in names}
    found = {name: ours for name, ours in found.items() if ours in ("name", "sha256", "pdq")}
    if not {"sha256", "pdq"} & set(found.values()):
        raise ConfigError("neither a column sha256 nor a column pdq", path, _REMEDY)
    if len(set(found.values())) < len(found):
        raise ConfigError(f"two columns of one name: {', '.join(found)}", path, "rename one of them")
    return found


def _pictures(config: IngestConfig, path: str) -> tuple[list[dict[str, Any]], int]:
    """Fingerprints the images of a folder or tar; returns them and the number of broken files."""
    policy = evaluation_policy(config)
    counts: Counter[str] = Counter()
    lines: list[dict[str, Any]] = []

    async def work(decoders: Decoders, files: Iterator[EvaluationFile]) -> None:
        for file in files:
            made = await decoders.decode(file.body)
            if isinstance(made, Rejected):
                counts["broken"] += 1
                continue
            prints = made.prints
            words = {f"pdq{number}": word for number, word in enumerate(prints.pdq)}
            lines.append({"name": file.name, "sha256": prints.sha256, "pdq_quality": prints.pdq_quality, **words})

    async def every() -> None:
        files = _files(path, config.max_bytes, counts)
        await asyncio.gather(*(work(decoders, files) for _ in range(_AHEAD)))

    with Decoders(policy, policy.max_bytes) as decoders:
        asyncio.run(every())
    return lines, counts["broken"]


def evaluation_policy(config: IngestConfig) -> IngestConfig:
    """Returns how evaluation images are decoded: like images of the corpus, but without its limits, because a small
    evaluation image counts too."""
    return replace(
        config, min_side=1, max_aspect=None, reencode="always", resize=_resize(config), decoders=config.processes
    )


def files_named(path: str, names: Set[str], most: int) -> Iterator[EvaluationFile]:
    """Yields those files of a folder or tar that have one of `names`, each read once, in the order of `read_sets`; none
    that is longer than `most` bytes, and none for a table of hashes."""
    if path.lower().endswith((".parquet", ".csv")):
        return
    folder, _, tar = path.rpartition("/")
    store = Store((folder or ".") if path.endswith(".tar") else path)
    inside = {found[1] for name in names if (found := _MEMBER.match(name))}
    for each in sorted(inside & {tar} if path.endswith(".tar") else inside):
        yield from (file for file in _of_tar(store, each, most, Counter()) if file.name in names)
    for name in sorted(names) if not path.endswith(".tar") else ():
        if not _MEMBER.match(name) and store.exists(name) and store.size(name) <= most:
            yield EvaluationFile(name, store.read(name))


def _resize(config: IngestConfig) -> Any:
    """Replaces `no`, which does not go with re-encoding; fingerprints are of the whole image in every mode."""
    return "keep_ratio" if config.resize == "no" else config.resize


def _files(path: str, most: int, counts: Counter[str]) -> Iterator[EvaluationFile]:
    """Yields the image files of a folder, recursively, and of its tars; counts files longer than `most` bytes as broken."""
    if path.endswith(".tar"):
        folder, _, name = path.rpartition("/")
        yield from _of_tar(Store(folder or "."), name, most, counts)
        return
    store = Store(path)
    for name in store.names(""):
        kind = PurePosixPath(name).suffix.lower()
        if kind == ".tar":
            yield from _of_tar(store, name, most, counts)
        elif kind in EVALUATION_SUFFIXES:
            if store.size(name) > most:
                counts["broken"] += 1
            else:
                yield EvaluationFile(name, store.read(name))


def _of_tar(store: Store, tar: str, most: int, counts: Counter[str]) -> Iterator[EvaluationFile]:
    with store.open(tar) as file, tarfile.open(fileobj=file, mode="r|") as members:
        for member in members:
            if not member.isfile() or PurePosixPath(member.name).suffix.lower() not in EVALUATION_SUFFIXES:
                continue
            content = members.extractfile(member) if member.size <= most else None
            if content is None:
                counts["broken"] += 1
            else:
                yield EvaluationFile(f"{tar}/{member.name}", content.read())
