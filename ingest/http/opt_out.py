"""Whether an answer's `X-Robots-Tag` headers forbid what an image corpus is made for."""

import re
from collections.abc import Iterable

# Not to be used for models, or not to be taken into an index; `none` is short for "noindex, nofollow".
_FORBID = frozenset(["noai", "noimageai", "noindex", "noimageindex", "none"])
# Rules that have a value after a colon, and so look as if they named a user agent.
_WITH_VALUE = frozenset(["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"])
_NAMED = re.compile(r"\s*([^\s:,]+)\s*:")
OURS = "tagmill"  # heard whatever the user agent calls itself


def agents_of(user_agent: str) -> frozenset[str]:
    """The names by which headers may address a user agent: its product token, and this tool's."""
    return frozenset([OURS, re.split(r"[/\s]", user_agent.strip(), maxsplit=1)[0].lower()])


def opt_out(headers: Iterable[str], agents: frozenset[str]) -> str | None:
    """The first rule in the values of `X-Robots-Tag` that forbids the use to one of `agents` or to all; None: none does.

    A value is `rule, rule` for everybody or `agent: rule, rule` for one; an agent holds until the next one is named.
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
