"""A position in a search, as text in a link: `12-345` is sample 345 of shard 12."""

import re
from dataclasses import dataclass

from tagmill.shards.errors import ConfigError

_TEXT = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")


@dataclass(frozen=True, order=True)
class Cursor:
    """The next sample to look at: the number of its shard in the corpus order, and its number in the shard."""

    shard: int = 0
    ordinal: int = 0

    def __str__(self) -> str:
        return f"{self.shard}-{self.ordinal}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Parses what `str` returns; empty text is the beginning. Raises ConfigError for any other text."""
        if not text:
            return cls()
        found = _TEXT.fullmatch(text)
        if not found:
            raise ConfigError(f"no position {text[:40]!r}", "from", "follow the links of the first page")
        return cls(int(found[1]), int(found[2]))
