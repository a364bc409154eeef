"""Whether the headers of an answer forbid use in an image corpus: `X-Robots-Tag`, and the signals of `usage_signals.py`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tagmill.ingest.http.usage_signals import forbidding_header
from tagmill.ingest.reasons import Reason

# No use for training, or no indexing; `none` is short for "noindex, nofollow".
_FORBID = frozenset(["noai", "noimageai", "noindex", "noimageindex", "none"])
# Rules with a value after a colon, which looks like the colon after a user agent.
_WITH_VALUE = frozenset(["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"])
_NAMED = re.compile(r"\s*([^\s:,]+)\s*:")
OURS = "tagmill"  # applies whatever the configured user agent is


@dataclass(frozen=True, slots=True)
class Obeyed:
    """Which statements of sites are obeyed."""

    agents: frozenset[str] | None = None  # by which `X-Robots-Tag` addresses us; None: it is ignored
    signals: frozenset[Reason] = frozenset()  # of `usage_signals.KINDS`

    def forbids(self, headers: Any) -> tuple[Reason, str] | None:
        """Returns the reason and the header that forbid use, or None. `headers` is a case-insensitive multidict."""
        rule = None if self.agents is None else opt_out(headers.getall("X-Robots-Tag", ()), self.agents)
        if rule is not None:
            return Reason.OPTED_OUT, f"X-Robots-Tag: {rule}"
        return forbidding_header(lambda name: headers.getall(name, ()), self.signals)


def agents_of(user_agent: str) -> frozenset[str]:
    """Returns the names by which headers may address a user agent: its product token, and the name of this tool."""
    return frozenset([OURS, re.split(r"[/\s]", user_agent.strip(), maxsplit=1)[0].lower()])


def opt_out(headers: Iterable[str], agents: frozenset[str]) -> str | None:
    """Returns the first rule in the values of `X-Robots-Tag` that forbids use by one of `agents` or by all, or None.

    A value is `rule, rule` for all agents or `agent: rule, rule` for one; an agent applies until the next one is named.
    """
    for value in headers:
        addressed = True
        for text in value.lower().split(","):
            if (named := _NAMED.match(text)) and named[1] not in _WITH_VALUE:
                addressed = named[1] == "*" or named[1] in agents
                text = text[named.end() :]
            if addressed and text.strip() in _FORBID:
                return text.strip()
    return None
