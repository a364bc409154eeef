"""What an ingest is told: one frozen dataclass whose fields are the command's flags, checked when it is made."""

import hashlib
import json
import os
from dataclasses import MISSING, asdict, astuple, dataclass, field, fields
from typing import Any, Literal, get_args

from tagmill.ingest.config.images import ImagePolicy, Reencode, Resize
from tagmill.ingest.config.memory import _SIZE
from tagmill.ingest.config.presets import PLAIN, PRESETS, Columns, Preset
from tagmill.ingest.config.stages import (
    FETCH,
    FETCH_CONTENT,
    LABEL,
    NO_BYTE,
    PACK,
    SELECT,
    SELECT_CONTENT,
    STAGES,
    Stage,
)
from tagmill.ingest.text.tag_text import unescaped
from tagmill.shards.errors import ConfigError
from tagmill.shards.formats.record import RESERVED
from tagmill.shards.storage.store import is_local

# Columns of the tables between input and corpus, which the source's own columns must not be called.
TAKEN_COLUMNS = RESERVED.union(
    ["url_hash", "part", "place", "detail", "pdq_quality", "jpeg_size", "sample_bytes", "holdout_order", "jpeg"],
    ["http_status", "fetched_at", "seconds", "host", "split", "yields_to", "bytes_at"],
)
_COLUMN_FIELDS = ("url_column", "tags_column", "caption_column", "licence_column", "page_column", "extra_columns")


@dataclass(frozen=True, kw_only=True)
class IngestConfig:
    """An ingest from lists of URLs and tags to a corpus. Raises ConfigError for what cannot be right."""

    input: tuple[str, ...] = field(metadata=FETCH)
    """Files, globs or folders of Parquet, CSV, TSV, JSON lines or plain URLs (.txt), WebDataset tars, or folders of pictures;
    on any store."""
    output: str = field(metadata=NO_BYTE)
    """The folder or bucket prefix of the new corpus, or with `extend` of one that is there."""
    extend: bool = field(default=False, metadata=FETCH)
    """Add the list to the corpus at the output: new shards, and a new generation of every view. What is there is not fetched
    again; where its URLs are listed once more, their tags are added."""
    recount: bool = field(default=False, metadata=LABEL)
    """With `extend`: count the labels of every view anew, so that their ids change; else new labels get the next ids."""
    drop_views: tuple[str, ...] = field(default=(), metadata=LABEL)
    """With `extend`: views that the new generation does not have."""
    mixed_stack: bool = field(default=False, metadata=NO_BYTE)
    """Go on with pictures that another image stack has begun; the corpus records it."""
    name: str = field(default="corpus", metadata=LABEL)
    """What the corpus is called."""
    seed: int = field(default=0, metadata=FETCH)
    """Decides the order of the samples and which of them are held out."""

    source: Literal["lists", "tars", "files"] | None = field(default=None, metadata=FETCH)
    """What the input is: lists of URLs, tars of pictures, or folders of pictures; by default as its suffixes say."""
    keep_order: bool = field(default=False, metadata=FETCH)
    """Keep the order of the input, where it is otherwise dealt at random."""
    preset: Literal["img2dataset", "laion", "yfcc100m"] | None = field(default=None, metadata=FETCH)
    """How a published list is read: names the columns; a column's own flag goes before it."""
    url_column: str | None = field(default=None, metadata=FETCH)
    """The column with the URLs; `url` if neither this nor a preset is given."""
    tags_column: str | None = field(default=None, metadata=FETCH)
    """The column with the tags: lists, or text that is split; `tags` if no preset and no other source of tags is given."""
    caption_column: str | None = field(default=None, metadata=FETCH)
    """A column with captions: the hashtags in them are tags too, after those of the tags column."""
    tags_from_folder: bool = field(default=False, metadata=FETCH)
    """The name of the folder that a picture lies in, also inside a tar, is a tag too, after all others."""
    tags_separator: str = field(default=",", metadata=FETCH)
    """What stands between two tags in text; `\\t` is a tab."""
    quoting: Literal["double", "none"] = field(default="double", metadata=FETCH)
    """How fields of CSV and TSV are quoted: in double quotes, or not at all, so that quotes are text."""
    licence_column: str | None = field(default=None, metadata=FETCH)
    """The column with each picture's licence, if there is one."""
    page_column: str | None = field(default=None, metadata=FETCH)
    """The column with the page that showed the picture, if there is one."""
    extra_columns: tuple[str, ...] = field(default=(), metadata=FETCH)
    """Further columns that are carried into the corpus."""

    concurrency: int = field(default=64, metadata=NO_BYTE)
    """Requests in flight over the whole run; each worker process takes its share."""
    host_concurrency: int = field(default=16, metadata=NO_BYTE)
    """Requests in flight to one host over the whole run; each worker process takes its share, at least one."""
    host_delay: float = field(default=0.0, metadata=NO_BYTE)
    """Seconds between the beginnings of two requests to one host, over the whole run."""
    host_failures: int = field(default=16, metadata=NO_BYTE)
    """Connections and answers of a host that fail in a row before a worker process leaves it alone for a minute."""
    timeout: float = field(default=30.0, metadata=NO_BYTE)
    """Seconds in which a URL's whole answer must have come, redirects and retries included; waiting for a turn at its host
    is not."""
    retries: int = field(default=2, metadata=NO_BYTE)
    """Further tries after 429, 5xx and failed connections, no sooner than `Retry-After` says."""
    retry_share: float = field(default=0.1, metadata=NO_BYTE)
    """Retries at most, as a share of the URLs asked for: a web that is down is not asked three times over."""
    max_bytes: int = field(default=50_000_000, metadata=FETCH)
    """Bytes of a body at most."""
    max_redirects: int = field(default=5, metadata=FETCH)
    """Redirects followed at most."""
    allow_private: bool = field(default=False, metadata=FETCH)
    """Also fetch from loopback and private addresses."""
    honour_opt_outs: bool = field(default=True, metadata=FETCH)
    """Take no picture whose answer says noai, noimageai, noindex or noimageindex (`X-Robots-Tag`)."""
    honour_robots: bool = field(default=True, metadata=FETCH)
    """Ask each host for its robots.txt first, and nothing of a host that it forbids."""
    max_crawl_delay: float = field(default=1.0, metadata=NO_BYTE)
    """Seconds that a robots.txt may put between two requests to its host at most."""
    robots_max_age: float = field(default=86400.0, metadata=NO_BYTE)
    """Seconds after which a run that is resumed asks for robots.txt again."""
    user_agent: str = field(default="tagmill/0 (image corpus builder)", metadata=NO_BYTE)
    """How requests introduce themselves; give an address where you can be reached."""

    image_size: int = field(default=256, metadata=FETCH)
    """The side of stored pictures that `resize` sets, pixels."""
    resize: Resize = field(default="keep_ratio", metadata=FETCH)
    """Short side (keep_ratio), long side (keep_ratio_largest), square cut out (center_crop) or filled with white (border)."""
    only_if_bigger: bool = field(default=True, metadata=FETCH)
    """Leave pictures that are not bigger as they are; otherwise they are enlarged."""
    reencode: Reencode = field(default="always", metadata=FETCH)
    """Encode every picture anew (always) or only those that need it (auto); or reject those that need it (never)."""
    quality: int = field(default=90, metadata=FETCH)
    """JPEG quality, 1 to 100."""
    min_side: int = field(default=16, metadata=FETCH)
    """Pictures with a shorter side are rejected, pixels."""
    max_pixels: int = field(default=200_000_000, metadata=FETCH)
    """Pictures with more pixels are rejected before they are decoded."""
    max_aspect: float | None = field(default=None, metadata=FETCH)
    """Pictures whose long side is more than this many times the short one are rejected."""

    rows_per_part: int = field(default=10_000, metadata=FETCH)
    """Rows of a part, the unit of work, at most (on average)."""
    parts_per_group: int = field(default=16, metadata=SELECT)
    """Parts that are packed together; shards never cross a group."""
    shard_samples: int = field(default=10_000, metadata=PACK)
    """Samples of a shard at most."""
    shard_bytes: int = field(default=1 << 30, metadata=PACK)
    """Bytes of a shard at most."""

    vocabulary: str = field(default="nouns", metadata=LABEL)
    """Which labels become classes of the view `default`: nouns, in1k, in21k, or a file of labels."""
    min_count: int = field(default=1, metadata=LABEL)
    """Training pictures that a label needs."""
    top_k: int | None = field(default=None, metadata=LABEL)
    """Keep the commonest labels only."""
    max_labels: int = field(default=16, metadata=LABEL)
    """Labels of a picture at most; the rarest stay."""
    rule: Literal["merge", "first", "all"] = field(default="merge", metadata=LABEL)
    """How a token with several meanings becomes labels."""
    short_tokens: bool = field(default=False, metadata=LABEL)
    """Read tokens of one or two characters too, such as #tv and #ox."""
    holdout: int = field(default=0, metadata=SELECT)
    """Pictures kept apart from training."""

    near_threshold: int = field(default=31, metadata=SELECT)
    """Bits of 256 of the PDQ hash in which near duplicates may differ; -1 leaves near duplicates in."""
    near_bits: int | None = field(default=None, metadata=SELECT)
    """Bits of a table by which near duplicates are looked for; by default the base-2 logarithm of the pictures, less one."""
    near_tables: int | None = field(default=None, metadata=SELECT)
    """Such tables; by default as many as find 96 of 100 pairs that differ in 16 bits."""
    near_quality: int = field(default=50, metadata=SELECT)
    """Pictures of lower PDQ quality (0 to 100), in which there is little to see, are no near duplicates of others."""
    near_bucket: int = field(default=100, metadata=SELECT)
    """Pictures that agree on the bits of a table beyond which only so many, the largest, are compared with all of them."""
    placeholder_urls: int = field(default=1000, metadata=SELECT)
    """A picture that comes back for so many different URLs is a placeholder and left out; from a thousandth of the rows (at
    least 10) on, one whose tags have nothing in common. 0 leaves them in."""
    evaluation_set: tuple[str, ...] = field(default=(), metadata=SELECT_CONTENT)
    """NAME=PATH of sets that models are tested on: a folder of pictures or of tars, a tar, or a table of hashes."""
    evaluation: Literal["remove", "mark"] = field(default="remove", metadata=SELECT)
    """Leave out what is in an evaluation set or near it, or only list it in decontamination.parquet."""
    evaluation_threshold: int = field(default=31, metadata=SELECT)
    """Bits of 256 of the PDQ hash in which a picture may differ from an evaluation picture that it is taken for."""
    blocklist: tuple[str, ...] = field(default=(), metadata=FETCH_CONTENT)
    """Files of sha256, md5 or PDQ hashes in hex, one a line: such pictures are rejected before their bytes are kept. Give
    pdq=FILE where digits of PDQ stand without their kind."""

    takedown: tuple[str, ...] = field(default=(), metadata=FETCH_CONTENT)
    """What must not come in: corpora whose takedown lists hold here too, files of lines such as `host example.org`, or
    KIND=FILE (host, url, key, sha256, pdq) for files of one kind."""
    processes: int = field(default_factory=lambda: os.cpu_count() or 1, metadata=NO_BYTE)
    """Worker processes."""
    decoders: int = field(default=1, metadata=NO_BYTE)
    """Decoder processes of each worker process: a crash of one costs a picture and not the run."""
    decode_timeout: float = field(default=60.0, metadata=NO_BYTE)
    """Seconds that a picture may take in a decoder process before that is ended and the picture rejected."""
    engine: Literal["duckdb", "spark"] = field(default="duckdb", metadata=NO_BYTE)
    """Who does set work, parts and packing: this machine (duckdb), or a Spark cluster; not a byte depends on it."""
    spark_master: str | None = field(default=None, metadata=NO_BYTE)
    """Spark's master; by default that of the session or spark-submit that this runs in, else this machine's processes."""
    memory_limit: str = field(default="2GB", metadata=NO_BYTE)
    """Memory of set work, half of it for the SQL engine; more is spilled to the spool."""
    spool: str | None = field(default=None, metadata=NO_BYTE)
    """A local scratch folder; by default one in the system's place for them."""
    keep_parts: bool = field(default=False, metadata=NO_BYTE)
    """Keep the intermediate parts after the corpus is committed."""
    failure_budget: float = field(default=1.0, metadata=NO_BYTE)
    """The share of rows that may fail before the run stops, 0 to 1."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags_separator", unescaped(self.tags_separator))
        self._check_places()
        self._check_columns()
        at_least = {"concurrency": 1, "retries": 0, "max_bytes": 1, "max_redirects": 0, "image_size": 8, "min_side": 1}
        at_least |= {"max_pixels": 1, "rows_per_part": 1, "parts_per_group": 1, "shard_samples": 1, "shard_bytes": 1}
        at_least |= {"min_count": 1, "max_labels": 1, "holdout": 0, "processes": 1, "quality": 1}
        at_least |= {"host_concurrency": 1, "host_failures": 1, "decoders": 1}
        for name, least in at_least.items():
            if getattr(self, name) < least:
                self._refuse(name, f"must be at least {least}")
        if self.top_k is not None and self.top_k < 1:
            self._refuse("top_k", "must be at least 1")
        self._check_images()
        for name in ("timeout", "decode_timeout"):
            if not 0 < getattr(self, name) < float("inf"):
                self._refuse(name, "must be a positive number of seconds")
        if not 0 <= self.host_delay <= 3600:
            self._refuse("host_delay", "must be from 0 to 3600 seconds")
        if not 0 <= self.max_crawl_delay <= 3600:
            self._refuse("max_crawl_delay", "must be from 0 to 3600 seconds")
        if not 0 <= self.robots_max_age < float("inf"):
            self._refuse("robots_max_age", "must be a number of seconds")
        if not 0 <= self.retry_share < float("inf"):
            self._refuse("retry_share", "must be a share of at least 0")
        if not 0 <= self.failure_budget <= 1:
            self._refuse("failure_budget", "must be a share from 0 to 1")
        self._check_sets()
        if not -(1 << 63) <= self.seed < 1 << 63:
            self._refuse("seed", "must fit into 64 bits")
        if self.rule not in ("merge", "first", "all"):
            self._refuse("rule", "must be merge, first or all")
        if self.engine not in ("duckdb", "spark"):
            self._refuse("engine", "must be duckdb or spark")
        if not _SIZE.fullmatch(self.memory_limit):
            self._refuse("memory_limit", "must be a size such as 500MB or 2GB")

    def _check_places(self) -> None:
        for name in ("recount", "drop_views"):
            if getattr(self, name) and not self.extend:
                self._refuse(name, "is for a corpus that is extended: add --extend")
        if type(self.input) is not tuple or not self.input or not all(self.input):
            self._refuse("input", "must be one or more files, globs or folders")
        for name in ("output", "name", "user_agent"):
            if not getattr(self, name).strip():
                self._refuse(name, "must not be empty")
        if not self.user_agent.isascii() or not self.user_agent.isprintable():
            self._refuse("user_agent", "must be printable ASCII, as it goes into a header")
        if self.extend and self.keep_order:
            remedy = "leave out one of them: what is there is found by the hash that rows are dealt by"
            raise ConfigError("a corpus is not extended in the order of the input", "--extend --keep-order", remedy)
        if self.spool is not None and not is_local(self.spool):
            self._refuse("spool", "must be a local folder")

    def _check_sets(self) -> None:
        limits = {"near_threshold": (-1, 64), "near_bits": (0, 64), "near_tables": (1, 1024), "near_quality": (0, 100)}
        limits |= {"near_bucket": (2, 10_000), "placeholder_urls": (0, 1 << 60), "evaluation_threshold": (0, 64)}
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                self._refuse(name, f"must be from {least} to {most}")
        if self.placeholder_urls == 1:
            self._refuse("placeholder_urls", "must be 0 or at least 2")
        if self.evaluation not in ("remove", "mark"):
            self._refuse("evaluation", "must be remove or mark")
        for name in ("evaluation_set", "blocklist"):
            if type(getattr(self, name)) is not tuple or not all(getattr(self, name)):
                self._refuse(name, "must be one or more names")
        named = [text.partition("=") for text in self.evaluation_set]
        if not all(name and path for name, _, path in named) or len({name for name, _, _ in named}) < len(named):
            self._refuse("evaluation_set", "must be NAME=PATH, each name once")

    def _check_images(self) -> None:
        if self.quality > 100:
            self._refuse("quality", "must be at most 100")
        if self.image_size > 65_500:
            self._refuse("image_size", "must be at most 65500, as a JPEG's sides")
        if self.max_aspect is not None and not 1 <= self.max_aspect < float("inf"):
            self._refuse("max_aspect", "must be a number from 1")
        if self.resize not in get_args(Resize):
            self._refuse("resize", f"must be one of {', '.join(get_args(Resize))}")
        if self.reencode not in get_args(Reencode):
            self._refuse("reencode", f"must be one of {', '.join(get_args(Reencode))}")
        if self.reencode == "never" and self.resize != "no":
            raise ConfigError("pictures that are never encoded anew cannot be resized", "--reencode", "add --resize no")
        if not self.only_if_bigger and self.resize == "no":
            raise ConfigError("nothing is enlarged where nothing is resized", "--no-only-if-bigger", "leave it out")
        if not self.only_if_bigger and self.image_size**2 > self.max_pixels:
            remedy = "give a smaller --image-size or a larger --max-pixels"
            raise ConfigError("enlarged pictures would have more pixels than max_pixels", "--no-only-if-bigger", remedy)

    def _check_columns(self) -> None:
        if self.source not in (None, "lists", "tars", "files"):
            self._refuse("source", "must be lists, tars or files")
        if self.preset is not None and self.preset not in PRESETS:
            self._refuse("preset", f"must be one of {', '.join(PRESETS)}")
        if self.quoting not in ("double", "none"):
            self._refuse("quoting", "must be double or none")
        chosen = self.columns
        named = [chosen.url, chosen.tags, chosen.caption, chosen.licence, chosen.page]
        columns = [column for column in named if column is not None]
        if not all([*columns, *chosen.extra]):
            self._refuse("extra_columns", "and the other columns must have names")
        extra = [column for column in chosen.extra if column != chosen.caption]  # captions may be kept as they are
        if len({*columns, *extra}) < len(columns) + len(extra) or len(set(chosen.extra)) < len(chosen.extra):
            self._refuse("extra_columns", f"name a column twice: {', '.join([*columns, *extra])}")
        if not self.tags_separator:
            self._refuse("tags_separator", "must not be empty")
        for column in self.extra_columns:
            if column in TAKEN_COLUMNS or "." in column:
                self._refuse("extra_columns", f"cannot hold {column!r}, which is taken: rename it in the input")

    def _refuse(self, name: str, rule: str) -> None:
        flag = "--" + name.replace("_", "-")
        raise ConfigError(f"{name} {rule}, not {getattr(self, name)!r}", flag, "give another value")

    def deciding(self, last: Stage = "label") -> dict[str, Any]:
        """The fields that decide what the stages up to `last` build, as JSON has them. What files hold is not among them.

        Columns are those that are read: one may be named by a flag or by habit.
        """
        stages = STAGES[: STAGES.index(last) + 1]
        plain = [
            each.name for each in fields(self) if not each.metadata["content"] and each.metadata["stage"] in stages
        ]
        values = {name: getattr(self, name) for name in plain} | dict(
            zip(_COLUMN_FIELDS, astuple(self.columns), strict=True)
        )
        found: dict[str, Any] = json.loads(json.dumps(values))
        return found

    def digest(self, last: Stage = "label") -> str:
        """sha256 over `deciding`."""
        return hashlib.sha256(json.dumps(self.deciding(last), sort_keys=True).encode()).hexdigest()

    def differences(self, then: dict[str, Any], last: Stage = "label") -> list[str]:
        """The fields whose values differ from `deciding` of another config, each with both values. A field that one of the two
        versions of this code does not know has its default there."""
        now = self.deciding(last)
        default = {each.name: None if each.default is MISSING else each.default for each in fields(self)}
        both = {name: (then.get(name, default.get(name)), now.get(name)) for name in sorted(then.keys() | now.keys())}
        return [f"{name} {was!r} then and {is_!r} now" for name, (was, is_) in both.items() if was != is_]

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
            extra=self.extra_columns,
        )

    @property
    def images(self) -> ImagePolicy:
        """The part of the config that decides a stored picture."""
        return ImagePolicy(**{field.name: getattr(self, field.name) for field in fields(ImagePolicy)})

    def image_policy(self) -> dict[str, Any]:
        """What `corpus.json` says about the pictures."""
        sampling = "4:2:0" if self.reencode == "always" else "4:2:0 or 4:4:4"
        how = {"filter": "box" if self.only_if_bigger else "box, lanczos to enlarge"}
        return {**asdict(self.images), **how, "format": f"baseline JPEG {sampling}, sRGB"}
