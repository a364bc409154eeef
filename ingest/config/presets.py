"""Lists as others publish them: the names of their columns, and what else must be known to read them."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a list holds what; None where no column does."""

    url: str
    tags: str | None = None
    caption: str | None = None
    licence: str | None = None
    page: str | None = None
    sha256: str | None = None
    md5: str | None = None
    image: str | None = None  # the images themselves, in Parquet; then a row needs no URL
    extra: tuple[str, ...] = ()
    where: tuple[str, ...] = ()  # that decide which rows are read

    def flags(self) -> dict[str, str]:
        """Every column that is wanted, once, with the flag that names it."""
        single = {"url": self.url, "tags": self.tags, "caption": self.caption, "licence": self.licence}
        single |= {"page": self.page, "sha256": self.sha256, "md5": self.md5}
        single |= {"image": self.image}
        named = {column: f"--{what}-column" for what, column in single.items() if column is not None}
        named |= {column: "--extra-columns" for column in self.extra if column not in named}
        return named | {column: "--where" for column in self.where if column not in named}


@dataclass(frozen=True, slots=True)
class Preset:
    """How a published list is read. One with a `header` is TSV without header line and without quotes, in any file."""

    columns: Columns
    header: tuple[str, ...] = ()
    encoded: frozenset[str] = frozenset()  # columns of percent-encoded text, where a plus sign is a space
    skip: dict[str, str] = field(default_factory=dict)  # column -> its value in rows that are no pictures


# The columns of `yfcc100m_dataset` in their order. `marker` is 0 for a photo and 1 for a video.
_YFCC100M = (
    *["line", "id", "hash", "user_nsid", "user_nickname", "date_taken", "date_uploaded", "capture_device", "title"],
    *["description", "user_tags", "machine_tags", "longitude", "latitude", "accuracy", "page_url", "download_url"],
    *["licence_name", "licence_url", "server", "farm", "secret", "secret_original", "extension", "marker"],
)
PRESETS = {
    "img2dataset": Preset(Columns("url", caption="caption")),
    "laion": Preset(Columns("URL", caption="TEXT")),
    "datacomp": Preset(Columns("url", caption="text")),
    "coyo": Preset(Columns("url", caption="text")),
    "cc12m": Preset(Columns("url", caption="caption"), header=("url", "caption")),
    "cc3m": Preset(Columns("url", caption="caption"), header=("caption", "url")),
    "redcaps": Preset(Columns("image_url", caption="caption", page="permalink")),  # as tables; not the published JSON
    "yfcc100m": Preset(
        # The licence by its URL: its name ("Attribution License") does not say which version.
        Columns("download_url", "user_tags", licence="licence_url", page="page_url"),
        header=_YFCC100M,
        encoded=frozenset(["user_nickname", "capture_device", "title", "description", "user_tags", "machine_tags"]),
        skip={"marker": "1"},
    ),
    "huggingface": Preset(Columns("url", "label", image="image")),
}
PLAIN = Preset(Columns("url", "tags"))
