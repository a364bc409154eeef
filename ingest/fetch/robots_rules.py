"""Reads robots.txt (RFC 9309): which URLs of a host may be fetched, and how fast. protego matches paths.

Only the rules of the groups that apply to us are kept, as a short text of `Allow`, `Disallow` and `Crawl-delay` lines, and of
those that speak of training (`http/usage_signals.py`). That text is what is stored, sent to workers and compiled again.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from protego import Protego
from yarl import URL

from tagmill.ingest.http.usage_signals import LINE_PREFIXES, PathSignals, signal_line
from tagmill.ingest.reasons import Reason

MAX_ROBOTS_BYTES = 500 * 1024  # of a file that are read (RFC 9309, 2.5)
MAX_ROBOTS_REDIRECTS = 5  # RFC 9309, 2.3.1.2
MAX_COMPILED = 4096  # rule sets that are kept compiled
MAX_COMPILED_TEXT = 2 << 20  # characters of rules in all; compiled rules take about twenty times as much memory
ROBOTS_PATH = "/robots.txt"

_BREAK = re.compile(r"[\r\n]+")
_AGENT = frozenset(["user-agent", "useragent", "user agent"])
# Rule names, with the misspellings that search engines accept too.
_RULES = {"allow": "Allow", "crawl-delay": "Crawl-delay", "crawl delay": "Crawl-delay"} | dict.fromkeys(
    ["disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"], "Disallow"
)
_NO_RULES_REASONS = frozenset(
    [Reason.EMPTY, Reason.NOT_FOUND, Reason.REDIRECTS, Reason.PRIVATE_ADDRESS, Reason.TOO_BIG]
)
_TOO_MANY_REQUESTS = 429


def origin_of(url: URL) -> str:
    """Returns the scheme, host and port that one robots.txt applies to; a default port is left out."""
    port = "" if url.is_default_port() else f":{url.port}"
    return f"{url.scheme}://{url.host_subcomponent}{port}"


@dataclass(frozen=True, slots=True)
class RobotsAnswer:
    """Result of fetching robots.txt: rules, or a reason to block the whole host.

    If both are empty, everything is allowed.
    """

    rules: str = ""  # as returned by `own_rules`
    kept: str = ""  # sha256 of long rules, which are stored apart; `rules` is empty then
    reason: Reason | None = None
    detail: str | None = None


def judge(
    body: bytes | None, reason: Reason | None, detail: str | None, status: int | None, agents: frozenset[str]
) -> RobotsAnswer:
    """Returns what a fetched robots.txt, or the failure to fetch it, means.

    Everything is allowed where the file is empty or missing (4xx), or its redirects lead nowhere, to a private address
    or through more than five hops. Everything is forbidden (`reason`) where the host is overloaded or broken (429,
    5xx), and where it could not be reached: then with the reason of that failure, which its URLs would have met too.
    """
    if body is not None:
        return RobotsAnswer(rules=own_rules(body, agents))
    broken = status is not None and (status == _TOO_MANY_REQUESTS or status >= 500)
    if reason in _NO_RULES_REASONS or (reason == Reason.HTTP_ERROR and not broken):
        return RobotsAnswer()
    detail = f"robots.txt: {detail or reason}"
    return RobotsAnswer(reason=Reason.ROBOTS if reason == Reason.HTTP_ERROR else reason, detail=detail)


def own_rules(body: bytes, agents: frozenset[str]) -> str:
    """Returns the rules of the groups that name one of `agents` (lower case), or else of the `*` groups, one a line. Signals
    before the first group are for all.

    The last line of a file that was cut at `MAX_ROBOTS_BYTES` is ignored: half a path forbids more than was meant.
    """
    text = body[:MAX_ROBOTS_BYTES].decode("utf-8-sig", errors="replace")
    if len(body) >= MAX_ROBOTS_BYTES:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]
    named: dict[str, None] = {}  # a dict keeps the order, and each rule once
    everybody: dict[str, None] = {}
    is_named = False  # whether a group names us, even one without rules
    groups: list[dict[str, None]] = []  # to which the next rules belong
    for_all = True  # no group has begun
    in_names = False
    for name, value in _lines(text):
        if name in _AGENT:
            groups = groups if in_names else []
            in_names, for_all = True, False
            if value == "*":
                groups.append(everybody)
            elif re.split(r"[/\s]", value, maxsplit=1)[0].lower() in agents:
                groups.append(named)
                is_named = True
        elif name in _RULES:
            in_names = False
            for rules in groups:
                if value:
                    rules[f"{_RULES[name]}: {value}"] = None
        elif (signal := signal_line(name, value)) is not None:
            in_names = False
            for rules in [named, everybody] if for_all else groups:
                rules[signal] = None
    return "\n".join(named if is_named else everybody)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yields (name in lower case, value) of each line with a colon, without comments."""
    for line in _BREAK.split(text):
        name, colon, value = line.partition("#")[0].partition(":")
        if colon:
            yield name.strip().lower(), "".join(value.strip().splitlines())


class RobotsRules:
    """The compiled rules of one host."""

    def __init__(self, text: str) -> None:
        """`text` is what `own_rules` returns."""
        self.signals = PathSignals(line for line in text.splitlines() if line.startswith(LINE_PREFIXES))
        self._found = Protego.parse(f"User-agent: *\n{text}") if text else None
        self.crawl_delay = (self._found.crawl_delay("*") or 0.0) if self._found else 0.0  # seconds

    def allow(self, url: URL) -> bool:
        """Returns whether a URL of the host may be fetched: the longest matching rule decides."""
        return self._found is None or self._found.can_fetch(str(url), "*")


class CompiledRules:
    """LRU cache of compiled rules, bounded by number and by characters of rule text."""

    def __init__(self, max_hosts: int = MAX_COMPILED, max_text: int = MAX_COMPILED_TEXT) -> None:
        self._max_hosts = max_hosts
        self._max_text = max_text
        self._rules: OrderedDict[str, tuple[RobotsRules, int]] = OrderedDict()
        self._text = 0

    def get(self, key: str) -> RobotsRules | None:
        """Returns the rules that are stored under a key, or None."""
        if (found := self._rules.get(key)) is None:
            return None
        self._rules.move_to_end(key)
        return found[0]

    def put(self, key: str, text: str) -> RobotsRules:
        """Compiles and stores rules, and evicts the least recently used ones where there are too many."""
        _, before = self._rules.pop(key, (None, 0))
        rules = RobotsRules(text)
        self._rules[key] = rules, len(text)
        self._text += len(text) - before
        while len(self._rules) > 1 and (len(self._rules) > self._max_hosts or self._text > self._max_text):
            self._text -= self._rules.popitem(last=False)[1][1]
        return rules
