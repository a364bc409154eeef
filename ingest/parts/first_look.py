"""Looks at the tags of the first rows while they are partitioned: warns before the fetch if the corpus would have no
labels."""

import logging
from collections import Counter
from types import TracebackType
from typing import Self

import pyarrow as pa

from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.labels.coverage import Reading, clip_tag, few_labels, find_joined_tags
from tagmill.ingest.labels.matching import MatchRules, TagMatcher
from tagmill.ingest.parts.partition_tasks import FIRST_ROWS
from tagmill.ingest.sources.inputs import format_of, inputs
from tagmill.ingest.sources.locations import BYTES_FIELD
from tagmill.ingest.sources.samples import folder_of

log = logging.getLogger(__name__)

_TAGS = 100  # per row, at most


def reading_of(config: SourceOptions) -> Reading:
    """Returns how a run reads its tags."""
    first, chosen = inputs(config)[0], config.columns
    lists = first.kind == "lists"
    plain = lists and format_of(first.url, config.reading) == "txt"
    folders = not lists and not config.tags_from_folder
    return Reading(chosen.tags, chosen.caption, plain, folders, config.caption_nouns)


class FirstLook:
    """Looks at the first FIRST_ROWS rows, and warns once if hardly any of their tags leads to a label."""

    def __init__(self, config: SourceOptions, rules: MatchRules) -> None:
        self._config, self._rules = config, rules
        self._left, self._rows = FIRST_ROWS, 0
        self._tags: Counter[str] = Counter()
        self._folders: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del error, trace
        if kind is None and self._left:
            self._warn()

    def see(self, batch: pa.RecordBatch) -> None:
        """Takes rows of `sources.rows`, in input order."""
        if not self._left or not len(batch):
            return
        batch = batch.slice(0, self._left)
        for tags in batch["tags"]:
            self._tags.update(map(clip_tag, tags.values[:_TAGS].to_pylist()))
        if BYTES_FIELD.name in batch.schema.names and not self._config.tags_from_folder:
            paths = (
                url for url in batch["url"].to_pylist() if url and "://" not in url
            )  # otherwise the URL is from metadata
            self._folders.update(filter(None, map(folder_of, paths)))
        self._left -= len(batch)
        self._rows += len(batch)
        if not self._left:
            self._warn()

    def _warn(self) -> None:
        self._left = 0
        if not self._rows:  # they were partitioned by an earlier start of this run
            return
        matcher = TagMatcher(self._rules)
        without = {tag: count for tag, count in self._tags.items() if not matcher.match(tag).labels}
        total = self._tags.total()
        found = few_labels(
            total, total - sum(without.values()), without, matcher, reading_of(self._config), self._folders
        )
        if found:
            log.warning("of the first %s rows, %s. Nothing has been fetched yet", f"{self._rows:,}", found.message)
        elif joined := find_joined_tags(total, without, matcher):
            log.warning("of the first %s rows, %s. Nothing has been fetched yet", f"{self._rows:,}", joined)
