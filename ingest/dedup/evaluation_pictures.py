"""Small images of evaluation sets for the report page: those that are in a pair with an image of the lists."""

import asyncio
import logging
import tarfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dedup.evaluation_files import EvaluationFile, files_named
from tagmill.ingest.dedup.evaluation_sets import evaluation_policy
from tagmill.ingest.images.decode_pool import Decoders
from tagmill.ingest.images.rejected import Rejected
from tagmill.shards.errors import TagmillError
from tagmill.shards.formats.report_pictures import small_picture
from tagmill.shards.storage.store import Store

log = logging.getLogger(__name__)

MOST = 100  # images that are kept, of the pairs with the smallest keys
_ROWS = 10_000  # of the table in memory


def evaluation_pictures(config: IngestConfig, store: Store, leaks: str) -> list[dict[str, Any]]:
    """Returns the rows of images that are in pairs of the table `leaks`; none where it is missing.

    The images are decoded in a process of their own, as evaluation sets are. A set that cannot be read any more gives
    none: a page with fewer images is no reason to end a run.
    """
    wanted, found = _wanted(store, leaks), list[dict[str, Any]]()
    for text in config.evaluation_set if wanted else ():
        name, _, path = text.partition("=")
        names = {file for of, file in wanted if of == name}
        try:
            found += asyncio.run(_decoded(config, name, files_named(path, names, config.max_bytes)))
        except (TagmillError, OSError, tarfile.TarError, pa.ArrowException) as error:
            log.warning("no images of the evaluation set %s in the report: %s", name, error)
    return found


def _wanted(store: Store, leaks: str) -> set[tuple[str, str]]:
    pairs: list[tuple[str, str, str]] = []
    if not store.exists(leaks):
        return set()
    with store.open(leaks) as file:
        columns = ["key", "set", "evaluation_name"]
        for batch in pq.ParquetFile(file).iter_batches(_ROWS, columns=columns, use_threads=False):
            rows = batch.to_pylist()
            pairs = sorted([*pairs, *((row["key"], row["set"], row["evaluation_name"]) for row in rows)])[:MOST]
    return {(name, file) for _, name, file in pairs}


async def _decoded(config: IngestConfig, name: str, files: Iterator[EvaluationFile]) -> list[dict[str, Any]]:
    found, policy = list[dict[str, Any]](), evaluation_policy(config)
    decoders = Decoders(policy, policy.max_bytes)
    try:
        with decoders:
            for file in files:
                made = await decoders.decode(file.body)
                small = None if isinstance(made, Rejected) else small_picture(made.jpeg)
                if small is not None and not isinstance(made, Rejected):
                    words = {f"pdq{number}": word for number, word in enumerate(made.prints.pdq)}
                    facts = {"set": name, "name": file.name, "sha256": made.prints.sha256}
                    found.append({**facts, "key": made.prints.sha256[:32], **words, "jpeg": small})
    finally:
        decoders.end()
    return found
