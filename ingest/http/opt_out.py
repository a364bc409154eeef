"""Whether the `X-Robots-Tag` headers of an answer forbid use in an image corpus."""

import re
from collections.abc import Iterable

# No use for training, or no indexing; `none` is short for "noindex, nofollow".
_FORBID = frozenset(["noai", "noimageai", "noindex", "noimageindex", "none"])
# Rules with a value after a colon, which looks like the colon after a user agent.
_WITH_VALUE = frozenset(["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"])
_NAMED = re.compile(r"\s*([^\s:,]+)\s*:")
OURS = "tagmill"  # applies whatever the configured user agent is


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
