"""What a host's robots.txt says to us: which of its URLs may be asked for, and how fast. RFC 9309; protego matches paths.

Of a file only the rules of our own group are kept, as a short text of `Allow`, `Disallow` and `Crawl-delay` lines: what other
crawlers are told is nobody's business here, and the text is what is stored, sent to workers and compiled again.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from protego import Protego
from yarl import URL

from tagmill.ingest.reasons import Reason

MOST_BYTES = 500 * 1024  # of a file that are read (RFC 9309, 2.5)
MOST_REDIRECTS = 5  # that a file may take (2.3.1.2)
MOST_COMPILED = 4096  # hosts whose rules are held ready to be asked
MOST_TEXT = 2 << 20  # characters of these in all; compiled they take some twenty times as much memory
PATH = "/robots.txt"

_BREAK = re.compile(r"[\r\n]+")
_AGENT = frozenset(["user-agent", "useragent", "user agent"])
# Names as they are written, with the misspellings that search engines read too.
_RULES = {"allow": "Allow", "crawl-delay": "Crawl-delay", "crawl delay": "Crawl-delay"} | dict.fromkeys(
    ["disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"], "Disallow"
)
_NOT_OURS = frozenset([Reason.EMPTY, Reason.NOT_FOUND, Reason.REDIRECTS, Reason.PRIVATE_ADDRESS, Reason.TOO_BIG])
_TOO_MANY_REQUESTS = 429


def origin_of(url: URL) -> str:
    """The scheme, host and port that one robots.txt speaks for; a port that goes without saying is left out."""
    port = "" if url.is_default_port() else f":{url.port}"
    return f"{url.scheme}://{url.host_subcomponent}{port}"


@dataclass(frozen=True, slots=True)
class RobotsAnswer:
    """What asking for a robots.txt came to: rules, or why nothing of this host may be asked for.

    Neither: everything may be asked for.
    """

    rules: str = ""  # of `ours`
    kept: str = ""  # sha256 of rules that lie elsewhere, because they are long; `rules` is empty then
    reason: Reason | None = None
    detail: str | None = None


def judge(
    body: bytes | None, reason: Reason | None, detail: str | None, status: int | None, agents: frozenset[str]
) -> RobotsAnswer:
    """What a fetched robots.txt, or its failure, means.

    No rules: it is empty or not there (4xx), or its redirects lead nowhere, to a private address or are more than five. All is
    forbidden (`reason`) where the host is overloaded or broken (429, 5xx), and where it could not be reached: then under
    the reason of that failure, because its URLs would have failed of it.
    """
    if body is not None:
        return RobotsAnswer(rules=ours(body, agents))
    broken = status is not None and (status == _TOO_MANY_REQUESTS or status >= 500)
    if reason in _NOT_OURS or (reason == Reason.HTTP_ERROR and not broken):
        return RobotsAnswer()
    told = f"robots.txt: {detail or reason}"
    return RobotsAnswer(reason=Reason.ROBOTS if reason == Reason.HTTP_ERROR else reason, detail=told)


def ours(body: bytes, agents: frozenset[str]) -> str:
    """The rules of the groups that name one of `agents` (in lower case), or else of those for everybody, one a line.

    Of a file that was cut at `MOST_BYTES` the last line is not read: half a path forbids more than was meant.
    """
    text = body[:MOST_BYTES].decode("utf-8-sig", errors="replace")
    if len(body) >= MOST_BYTES:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]
    named: dict[str, None] = {}  # keeps their order, and each rule once
    everybody: dict[str, None] = {}
    is_named = False  # whether some group names us, even one without rules
    to: list[dict[str, None]] = []
    in_names = False
    for name, value in _lines(text):
        if name in _AGENT:
            to, in_names = to if in_names else [], True
            if value == "*":
                to.append(everybody)
            elif re.split(r"[/\s]", value, maxsplit=1)[0].lower() in agents:
                to.append(named)
                is_named = True
        elif name in _RULES:
            in_names = False
            for rules in to:
                if value:
                    rules[f"{_RULES[name]}: {value}"] = None
    return "\n".join(named if is_named else everybody)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """(name in lower case, value) of each line that has both a colon and a name before it, without comments."""
    for line in _BREAK.split(text):
        name, colon, value = line.partition("#")[0].partition(":")
        if colon:
            yield name.strip().lower(), "".join(value.strip().splitlines())


class RobotsRules:
    """The rules of one host, ready to be asked."""

    def __init__(self, text: str) -> None:
        """`text` is of `ours`."""
        self._found = Protego.parse(f"User-agent: *\n{text}") if text else None
        self.crawl_delay = (self._found.crawl_delay("*") or 0.0) if self._found else 0.0  # seconds

    def allow(self, url: URL) -> bool:
        """Whether a URL of the host may be asked for: of the rules that match, the longest decides."""
        return self._found is None or self._found.can_fetch(str(url), "*")


class Compiled:
    """The rules of the hosts that were asked for last, by whatever key they have."""

    def __init__(self, most: int = MOST_COMPILED, most_text: int = MOST_TEXT) -> None:
        self._most, self._most_text = most, most_text
        self._rules: OrderedDict[str, tuple[RobotsRules, int]] = OrderedDict()
        self._text = 0

    def get(self, key: str) -> RobotsRules | None:
        """The rules that were put under a key and are still held."""
        if (found := self._rules.get(key)) is None:
            return None
        self._rules.move_to_end(key)
        return found[0]

    def put(self, key: str, text: str) -> RobotsRules:
        """Compiles rules, and forgets others where there are too many."""
        _, before = self._rules.pop(key, (None, 0))
        rules = RobotsRules(text)
        self._rules[key] = rules, len(text)
        self._text += len(text) - before
        while len(self._rules) > 1 and (len(self._rules) > self._most or self._text > self._most_text):
            self._text -= self._rules.popitem(last=False)[1][1]
        return rules
