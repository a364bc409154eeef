"""What the takedown list of a corpus forbids to show, of rows that never became samples too."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tagmill.shards import Corpus
from tagmill.shards.takedown import RULES, SAMPLE

if TYPE_CHECKING:
    from tagmill.ingest import Denylist

NUMBERS_ONLY = frozenset({"blocked", "taken_down"})  # reasons of rejects of which only the number is shown, anywhere


@dataclass(frozen=True)
class ForbiddenRows:
    """The rules of a corpus's takedown list, with the keys of the samples that they matched."""

    rules: "Denylist | None" = None  # None: there are none

    @classmethod
    def of(cls, corpus: Corpus) -> "ForbiddenRows":
        """Reads the rules of a corpus. Needs the libraries of ingest only where the corpus has any."""
        if not corpus.takedown.rows([*RULES, SAMPLE]):
            return cls()
        from tagmill.ingest import Denylist

        return cls(Denylist.of(corpus.takedown))

    def url(self, url: str | None) -> bool:
        """Whether a URL or its host is forbidden."""
        return self.rules is not None and self.rules.url(url) is not None

    def host(self, host: str | None) -> bool:
        """Whether a host is forbidden."""
        return self.rules is not None and self.rules.host(host)

    def key(self, key: str | None) -> bool:
        """Whether the sample of a key is taken down."""
        return self.rules is not None and key is not None and self.rules.exactly(key, "") is not None

    def picture(self, row: dict[str, Any]) -> bool:
        """Whether a row of PICTURES is forbidden by its bytes, its hash, its URL, or the sample that it is a copy of."""
        return self.rules is not None and self.rules.picture(row)
