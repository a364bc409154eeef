"""Reads evaluation sets: folders of images, tars, Parquet files with images, or tables of hashes."""

import asyncio
import csv
import io
import logging
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dedup.decontamination import ENTRIES, EvaluationSets
from tagmill.ingest.dedup.evaluation_files import EvaluationFile, evaluation_files, image_column
from tagmill.ingest.images.decode_pool import Decoders
from tagmill.ingest.images.rejected import Rejected
from tagmill.ingest.similarity.hex_hashes import pdq_words, sha256_text
from tagmill.ingest.text.text_files import text_of
from tagmill.shards.errors import ConfigError, StoreError
from tagmill.shards.storage.store import Store

log = logging.getLogger(__name__)

_HASH_COLUMNS = frozenset(["sha256", "pdq"])
_AHEAD = 32  # images in memory
_REMEDY = (
    "give a folder of images, tars or Parquet files with images, one of these files, or a .parquet or .csv with columns "
    "sha256 and/or pdq"
)
_HASHES = "give 64 hex digits in sha256 or pdq, or in both, and leave the other empty; remove rows without a hash"


def read_sets(config: IngestConfig) -> EvaluationSets:
    """Reads all evaluation sets of a config; images are fingerprinted like those of the corpus.

    Raises ConfigError where a set cannot be read or has no images.
    """
    lines: list[dict[str, Any]] = []
    broken: dict[str, int] = {}
    for text in config.evaluation_set:
        name, _, path = text.partition("=")
        try:
            found, bad = _table(path) if _is_table(path) else _pictures(config, path)
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


def _is_table(path: str) -> bool:
    """Whether a set is a table of hashes; a Parquet file without columns of hashes may have images."""
    if not path.lower().endswith(".parquet"):
        return path.lower().endswith(".csv")
    folder, _, name = path.rpartition("/")
    with Store(folder or ".").open(name) as file:
        schema = pq.ParquetFile(file).schema_arrow
    return bool(_HASH_COLUMNS & {_plain(each) for each in schema.names}) or image_column(schema) is None


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "")


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
    found = {name: _plain(name) for name in names}
    found = {name: ours for name, ours in found.items() if ours in ("name", "sha256", "pdq")}
    if not _HASH_COLUMNS & set(found.values()):
        raise ConfigError("neither a column sha256 nor a column pdq", path, _REMEDY)
    if len(set(found.values())) < len(found):
        raise ConfigError(f"two columns of one name: {', '.join(found)}", path, "rename one of them")
    return found


def _pictures(config: IngestConfig, path: str) -> tuple[list[dict[str, Any]], int]:
    """Fingerprints the images of a folder, tar or Parquet file; returns them and the number of broken files."""
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
        files = evaluation_files(path, config.max_bytes, counts)
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


def _resize(config: IngestConfig) -> Any:
    """Replaces `no`, which does not go with re-encoding; fingerprints are of the whole image in every mode."""
    return "keep_ratio" if config.resize == "no" else config.resize
