"""All options of an ingest as one frozen dataclass, and the digests of what decides the bytes of each stage."""

import hashlib
import json
from dataclasses import MISSING, astuple, dataclass, fields
from typing import Any

from tagmill.ingest.config.duplicates import DuplicateOptions
from tagmill.ingest.config.fetch import FetchOptions
from tagmill.ingest.config.filters import FilterOptions
from tagmill.ingest.config.images import ImageOptions
from tagmill.ingest.config.labels import LabelOptions
from tagmill.ingest.config.run import RunOptions
from tagmill.ingest.config.shards import ShardOptions
from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.config.stages import STAGES, Stage
from tagmill.shards.errors import ConfigError

# What runs did before a field existed. Such a value is left out of `deciding`, so that digests of earlier runs still hold.
_BEFORE: dict[str, Any] = {
    "restart_interval": 0,
    "limit": None,
    "where": None,
    "sha256_column": None,
    "md5_column": None,
    "image_column": None,
    "altered": "reject",
    "caption_nouns": False,
    "honour_content_signal": False,
    "honour_content_usage": False,
    "honour_tdm": False,
    "honour_iptc": False,
    "honour_c2pa": False,
}
_COLUMN_FIELDS = (
    *("url_column", "tags_column", "caption_column", "licence_column", "page_column", "sha256_column", "md5_column"),
    *("image_column", "extra_columns"),
)


@dataclass(frozen=True, kw_only=True)
class IngestConfig(
    SourceOptions,
    FetchOptions,
    ImageOptions,
    FilterOptions,
    DuplicateOptions,
    LabelOptions,
    ShardOptions,
    RunOptions,
):
    """An ingest from lists of URLs and tags to a corpus.

    A room of the ingest that needs only its own options takes that base class. Raises ConfigError for a value that is out of
    range, or does not go with another.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("recount", "drop_views"):
            if getattr(self, name) and not self.extend:
                self._refuse(name, "is for a corpus that is extended: add --extend")
        if self.extend and self.keep_order:
            remedy = "leave out one of them: rows of the corpus are found by the hash that shuffles them"
            raise ConfigError("a corpus is not extended in the order of the input", "--extend --keep-order", remedy)

    def deciding(self, last: Stage = "label") -> dict[str, Any]:
        """The fields that decide the bytes of the stages up to `last`, as JSON values. The content of files that they name is
        not included. Columns are those that are read, whether a flag or a preset names them; the restart interval is
        that of the images."""
        stages = STAGES[: STAGES.index(last) + 1]
        plain = [
            each.name for each in fields(self) if not each.metadata["content"] and each.metadata["stage"] in stages
        ]
        values = {name: getattr(self, name) for name in plain}
        columns = astuple(self.columns)[: len(_COLUMN_FIELDS)]  # without those of `where`, which is a field
        values |= dict(zip(_COLUMN_FIELDS, columns, strict=True))
        values |= {"restart_interval": self.markers}
        found: dict[str, Any] = json.loads(json.dumps(values))
        for name, value in _BEFORE.items():
            if found[name] == value:
                del found[name]
        return found

    def digest(self, last: Stage = "label") -> str:
        """sha256 of `deciding`, in hex."""
        return hashlib.sha256(json.dumps(self.deciding(last), sort_keys=True).encode()).hexdigest()

    def differences(self, then: dict[str, Any], last: Stage = "label") -> list[str]:
        """The fields whose values differ from `then`, the `deciding` of another config, each with both values. A field that
        only one version of this code knows has its default in the other, or what runs did before it existed."""
        now = self.deciding(last)
        default = {each.name: None if each.default is MISSING else each.default for each in fields(self)} | _BEFORE
        names = sorted(then.keys() | now.keys())
        both = {name: tuple(values.get(name, default.get(name)) for values in (then, now)) for name in names}
        return [f"{name} {was!r} then and {is_!r} now" for name, (was, is_) in both.items() if was != is_]
