"""Options of what must not come in."""

from dataclasses import dataclass, field

from tagmill.ingest.config.options import Options
from tagmill.ingest.config.stages import FETCH_CONTENT


@dataclass(frozen=True, kw_only=True)
class FilterOptions(Options):
    """Which images must not come in."""

    takedown: tuple[str, ...] = field(default=(), metadata=FETCH_CONTENT)
    """Takedown rules: corpora whose takedown list is used, files of lines such as `host example.org`, or KIND=FILE (host, url,
    key, sha256, pdq) for files of one kind."""
    blocklist: tuple[str, ...] = field(default=(), metadata=FETCH_CONTENT)
    """Files of sha256, md5 or PDQ hashes in hex, one a line; matching images are rejected before they are stored. Give pdq=FILE
    for PDQ digits without a prefix."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.blocklist) is not tuple or not all(self.blocklist):
            self._refuse("blocklist", "give one or more files")
