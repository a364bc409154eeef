"""robots.txt (RFC 9309) from files that are correct, sloppy or malicious."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego
from yarl import URL

from tagmill.ingest.fetch.robots_rules import (
    MAX_ROBOTS_BYTES,
    CompiledRules,
    RobotsAnswer,
    RobotsRules,
    judge,
    origin_of,
    own_rules,
)
from tagmill.ingest.reasons import Reason

US = frozenset(["tagmill", "mybot"])


def allowed(text: str, path: str, agents: frozenset[str] = US) -> bool:
    return RobotsRules(own_rules(text.encode(), agents)).allow(URL(f"http://h{path}", encoded=True))


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("User-agent: *\nDisallow: /a", "Disallow: /a"),
        ("User-agent: *\nDisallow: /a\n\nUser-agent: tagmill\nDisallow: /b", "Disallow: /b"),
        ("User-agent: TagMill/2.0 (all)\nDisallow: /b\nUser-agent: *\nDisallow: /", "Disallow: /b"),
        ("User-agent: tagmill\nDisallow:\nUser-agent: *\nDisallow: /", ""),  # we are named, and may do all
        ("User-agent: tag\nUser-agent: mill\nUser-agent: tagmill2\nDisallow: /", ""),  # others
        ("User-agent: other\nUser-agent: mybot\nSitemap: x\n\nUser-agent: third\nAllow: /b", "Allow: /b"),
        ("User-agent: mybot\nDisallow: /a\nUser-agent: x\nAllow: /\nUser-agent: tagmill\nAllow: /b", "Disallow: /a\nAllow: /b"),
        ("Disallow: /others\nUser-agent: *\nDisallow: /a", "Disallow: /a"),
        ("\ufeffuser-agent:*\rdisalow : /a # why\r\nCRAWL-DELAY: 3\nnonsense\n: /x", "Disallow: /a\nCrawl-delay: 3"),
        ("User-agent: *\nDisallow: /a\x0b\u2028Allow: /\x00", "Disallow: /aAllow: /\x00"),
        ("User-agent: *\nContent-Signal: search=yes,ai-train=no\nAllow: /", "Content-Signal: ai-train=no\nAllow: /"),
        ("Content-Usage: train-ai=n\nUser-agent: x\nContent-Usage: /a train-ai=y\nUser-agent: *\nDisallow: /a",
         "Content-Usage: train-ai=n\nDisallow: /a"),  # before all groups: for all
        ("User-agent: *\nContent-Usage: train-ai=n\nUser-agent: tagmill\nAllow: /", "Allow: /"),
        ("User-agent: *\nContent-Signal: search=no", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_only_the_rules_of_our_own_group_are_kept(text: str, rules: str) -> None:
    assert own_rules(text.encode(), US) == rules


@pytest.mark.parametrize(
    ("rules", "path", "may"),
    [
        ("Disallow: /", "/", False),
        ("Disallow: /", "/robots.txt", True),
        ("Disallow: /a", "/ab", False),
        ("Disallow: /a/", "/a", True),
        ("Disallow: /a\nAllow: /a/b", "/a/bc", True),
        ("Allow: /a/b\nDisallow: /a", "/a/c", False),
        ("Allow: /a\nDisallow: /a", "/a", True),  # of equal ones the friendlier
        ("Disallow: /*.png$", "/x/y.png", False),
        ("Disallow: /*.png$", "/x/y.png?size=1", True),
        ("Disallow: /*/private/*/x", "/a/private/b/xyz", False),
        ("Disallow: /*?", "/a?b", False),
        ("Disallow: /a%7eb", "/a~b", False),
        ("Disallow: /\u00fc", "/%C3%BC", False),
        ("Disallow: /a#b", "/ax", False),
    ],
)
def test_the_longest_rule_that_matches_decides(rules: str, path: str, may: bool) -> None:
    assert allowed(f"User-agent: *\n{rules}", path) == may


def test_own_rules_mean_what_the_whole_file_means() -> None:
    """The text that is kept means what protego finds in the file itself."""
    text = "User-agent: a\nUser-agent: tagmill\nDisallow: /x\nAllow: /x/y\nCrawl-delay: 2.5\n\nUser-agent: *\nDisallow: /\n"
    whole, rules = Protego.parse(text), RobotsRules(own_rules(text.encode(), frozenset(["tagmill"])))
    for path in ("/", "/x", "/x/y", "/x/z", "/q?x=/x"):
        assert whole.can_fetch(f"http://h{path}", "tagmill") == rules.allow(URL(f"http://h{path}"))
    assert rules.crawl_delay == whole.crawl_delay("tagmill") == 2.5


NAMES = st.sampled_from(["User-agent", "user-agent ", "Disallow", "ALLOW", "Crawl-delay", "Sitemap", "", "x"])
VALUES = st.sampled_from(["*", "tagmill", "other", "/", "/a", "/a*", "/*b$", "", "-1", "nan", "1e9"]) | st.text(
    max_size=9
)
LINES = st.builds("{}:{}".format, NAMES, VALUES) | st.text(max_size=12)


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_parsing_own_rules_again_changes_nothing(text: str) -> None:
    kept = own_rules(text.encode("utf-8", "surrogatepass"), US)
    assert own_rules(f"User-agent: *\n{kept}".encode(), US) == kept
    rules = RobotsRules(kept)
    assert 0 <= rules.crawl_delay < float("inf")
    for path in ("/", "/a", "/ab", "/zb"):
        assert rules.allow(URL(f"http://h{path}")) or kept


@given(st.binary(max_size=300))
def test_any_bytes_are_read(body: bytes) -> None:
    RobotsRules(own_rules(body, US)).allow(URL("http://h/x"))


def test_a_cut_file_loses_only_its_last_line() -> None:
    line = b"Disallow: /directory/of/some/length\n"
    body = b"User-agent: *\nDisallow: /first\n" + line * (MAX_ROBOTS_BYTES // len(line) + 9)
    kept = own_rules(body[:MAX_ROBOTS_BYTES], US)
    assert kept == "Disallow: /first\nDisallow: /directory/of/some/length"
    assert own_rules(body[: MAX_ROBOTS_BYTES - 1] + b"Disallow: /late", US) == kept


def test_no_pattern_goes_back_and_forth_over_a_path() -> None:
    """Trying every place for every `*` would not end within the lifetime of the machine."""
    times = 40
    rules = RobotsRules(f"Disallow: /{'*a' * times}*b\nDisallow: /{'*' * times}c$")
    assert rules.allow(URL("http://h/" + "a" * 50 * times, encoded=True))


FORBIDDEN = [
    (Reason.HTTP_ERROR, "HTTP 500", 500, Reason.ROBOTS),
    (Reason.HTTP_ERROR, "HTTP 503", 503, Reason.ROBOTS),
    (Reason.HTTP_ERROR, "HTTP 429", 429, Reason.ROBOTS),
    (Reason.CONNECTION, "refused", None, Reason.CONNECTION),
    (Reason.TIMEOUT, "no connection in time", None, Reason.TIMEOUT),
    (Reason.HOST_DOWN, None, None, Reason.HOST_DOWN),
    (Reason.BAD_HEADERS, "no HTTP status line", None, Reason.BAD_HEADERS),
    (Reason.TRUNCATED, "the body ends before its length", 200, Reason.TRUNCATED),
]


@pytest.mark.parametrize(("reason", "detail", "status", "becomes"), FORBIDDEN)
def test_a_host_that_fails_to_serve_its_file_is_blocked(
    reason: Reason, detail: str | None, status: int | None, becomes: Reason
) -> None:
    assert judge(None, reason, detail, status, US) == RobotsAnswer("", "", becomes, f"robots.txt: {detail or reason}")


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        *[(Reason.NOT_FOUND, 404), (Reason.NOT_FOUND, 410), (Reason.HTTP_ERROR, 401), (Reason.HTTP_ERROR, 403)],
        *[(Reason.EMPTY, 200), (Reason.EMPTY, 204), (Reason.REDIRECTS, 302), (Reason.PRIVATE_ADDRESS, None)],
    ],
)
def test_a_host_without_a_file_allows_everything(reason: Reason, status: int) -> None:
    assert judge(None, reason, None, status, US) == RobotsAnswer()


def test_origins() -> None:
    said = {
        url: origin_of(URL(url, encoded=True))
        for url in ("http://a.b:80/x", "https://a.b:443/", "https://a.b:80/?q", "http://[::1]:8080/", "http://me:pw@a/")
    }
    assert list(said.values()) == ["http://a.b", "https://a.b", "https://a.b:80", "http://[::1]:8080", "http://a"]


def test_compiled_rules_are_bounded() -> None:
    few = CompiledRules(max_hosts=2)
    first = few.put("a", "Disallow: /")
    assert few.put("b", "") is few.get("b") and few.get("a") is first
    few.put("c", "Allow: /")
    assert few.get("b") is None and few.get("a") is first  # the least recently used one
    short = CompiledRules(max_text=20)
    for key in "abc":
        short.put(key, "Disallow: /xyz")
        assert [name for name in "abc" if short.get(name)] == [key]
    short.put("c", "Disallow: /" + "y" * 99)
    short.put("c", "Allow: /x")
    short.put("d", "Allow: /y")
    assert short.get("c") and short.get("d")
