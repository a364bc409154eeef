"""Options of what is read: inputs and their columns."""

from dataclasses import dataclass, field
from typing import Literal

from tagmill.ingest.config.options import Options
from tagmill.ingest.config.presets import PLAIN, PRESETS, Columns, Preset
from tagmill.ingest.config.stages import FETCH
from tagmill.ingest.text.tag_text import unescaped
from tagmill.shards.formats.record import RESERVED
from tagmill.shards.settings.ranges import Count

# Columns of the tables between input and corpus, which the source's own columns must not be called.
TAKEN_COLUMNS = RESERVED.union(
    ["url_hash", "part", "place", "detail", "pdq_quality", "jpeg_size", "sample_bytes", "holdout_order", "jpeg"],
    ["http_status", "fetched_at", "seconds", "host", "split", "yields_to", "bytes_at", "listed_sha256", "listed_md5"],
)


@dataclass(frozen=True, kw_only=True)
class SourceOptions(Options):
    """What is read: lists of URLs, tars or folders, and which columns hold what."""

    input: tuple[str, ...] = field(metadata=FETCH)
    """Files, globs or folders on any store: Parquet, CSV, TSV, JSON lines, lists of URLs (.txt), WebDataset tars, or folders of
    images."""
    source: Literal["lists", "tars", "files"] | None = field(default=None, metadata=FETCH)
    """Type of the input: lists of URLs, tars or folders of image files; by default detected from the suffixes."""
    keep_order: bool = field(default=False, metadata=FETCH)
    """Keep the order of the input; otherwise samples are shuffled."""
    preset: (
        Literal["img2dataset", "laion", "datacomp", "coyo", "cc12m", "cc3m", "redcaps", "yfcc100m", "huggingface"]
        | None
    ) = field(default=None, metadata=FETCH)
    """Format and column names of a published list; flags for single columns override it."""
    url_column: str | None = field(default=None, metadata=FETCH)
    """Column with the URLs; by default url, or that of the preset."""
    tags_column: str | None = field(default=None, metadata=FETCH)
    """Column with the tags, as lists or as text to split; by default that of the preset, or tags if there is no other source
    of tags."""
    caption_column: str | None = field(default=None, metadata=FETCH)
    """Column with captions; their hashtags are added after the tags of the tags column."""
    caption_nouns: bool = field(default=False, metadata=FETCH)
    """Add the nouns of captions as tags too, after their hashtags."""
    tags_from_folder: bool = field(default=False, metadata=FETCH)
    """Add the name of an image's folder, also inside a tar, as its last tag."""
    tags_separator: str = field(default=",", metadata=FETCH)
    """Separator between the tags of a text; \\t is a tab."""
    quoting: Literal["double", "none"] = field(default="double", metadata=FETCH)
    """Quoting of CSV and TSV fields: in double quotes, or none, so that quotes are text."""
    licence_column: str | None = field(default=None, metadata=FETCH)
    """Column with the licence of each image."""
    page_column: str | None = field(default=None, metadata=FETCH)
    """Column with the URL of the page that showed the image."""
    sha256_column: str | None = field(default=None, metadata=FETCH)
    """Column with the sha256 of each image's bytes, in hex or base64: an image with another digest is `altered`."""
    md5_column: str | None = field(default=None, metadata=FETCH)
    """Column with the md5 of each image's bytes, likewise."""
    image_column: str | None = field(default=None, metadata=FETCH)
    """Column of Parquet files with the images themselves: bytes, or bytes and path as Hugging Face writes them."""
    altered: Literal["reject", "keep"] = field(default="reject", metadata=FETCH)
    """What becomes of an image with another digest than the list's: a reject, or a sample that the column `altered` marks."""
    extra_columns: tuple[str, ...] = field(default=(), metadata=FETCH)
    """Further columns that are copied into the corpus."""
    where: str | None = field(default=None, metadata=FETCH)
    """Condition on the columns of a row, such as "aesthetic > 5 and nsfw < 0.2"; rows that do not meet it are left out."""
    limit: Count | None = field(default=None, metadata=FETCH)
    """Number of rows to read, the first of the input in order; by default all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "tags_separator", unescaped(self.tags_separator))
        if type(self.input) is not tuple or not self.input or not all(self.input):
            self._refuse("input", "give one or more files, globs or folders")
        if self.where is not None:
            self._conditions()
        if not self.tags_separator:
            self._refuse("tags_separator", "give at least one character")
        self._check_columns()
        if self.caption_nouns and self.columns.caption is None:
            self._refuse("caption_nouns", "name the column of captions by --caption-column")

    def _conditions(self) -> tuple[str, ...]:
        """Returns the columns of the condition. Raises ConfigError where it cannot be read."""
        if self.where is None:
            return ()
        from tagmill.ingest.row_filter.condition import parsed_condition  # not above: it needs sqlglot

        return parsed_condition(self.where).columns

    def _check_columns(self) -> None:
        chosen = self.columns
        named = [chosen.url, chosen.tags, chosen.caption, chosen.licence, chosen.page, chosen.sha256, chosen.md5]
        named += [chosen.image]
        columns = [column for column in named if column is not None]
        if not all([*columns, *chosen.extra]):
            self._refuse("extra_columns", "give names to these and the other columns; one is empty")
        extra = [column for column in chosen.extra if column != chosen.caption]  # captions may be kept as they are
        if len({*columns, *extra}) < len(columns) + len(extra) or len(set(chosen.extra)) < len(chosen.extra):
            self._refuse("extra_columns", f"name each column once, not twice: {', '.join([*columns, *extra])}")
        marks = {"altered"} if self.altered == "keep" else set[str]()
        for column in self.extra_columns:
            if column in TAKEN_COLUMNS | marks or "." in column:
                self._refuse("extra_columns", f"rename {column!r} in the input: tables of the corpus use this name")

    @property
    def reading(self) -> Preset:
        """How the lists are read, apart from the names of their columns."""
        return PRESETS[self.preset] if self.preset else PLAIN

    @property
    def columns(self) -> Columns:
        """The columns that are read, by flag or else by preset."""
        preset = self.reading.columns
        no_habit = self.preset is None and (self.caption_column is not None or self.tags_from_folder)
        return Columns(
            url=preset.url if self.url_column is None else self.url_column,
            tags=self.tags_column if self.tags_column is not None or no_habit else preset.tags,
            caption=preset.caption if self.caption_column is None else self.caption_column,
            licence=preset.licence if self.licence_column is None else self.licence_column,
            page=preset.page if self.page_column is None else self.page_column,
            sha256=self.sha256_column,
            md5=self.md5_column,
            image=preset.image if self.image_column is None else self.image_column,
            extra=self.extra_columns,
            where=self._conditions(),
        )
