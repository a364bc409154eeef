"""X-Robots-Tag as sites write it: for all agents, for some, with dates inside, and in several headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.http.opt_out import agents_of, opt_out

US = agents_of("tagmill/0 (image corpus builder)")


@pytest.mark.parametrize(
    ("headers", "rule"),
    [
        (["noai"], "noai"),
        (["noimageai"], "noimageai"),
        (["NoIndex"], "noindex"),
        ([" nofollow ,  noimageindex"], "noimageindex"),
        (["none"], "none"),
        (["all", "noindex"], "noindex"),
        (["tagmill: noindex"], "noindex"),
        (["Tagmill : nofollow, NOAI"], "noai"),
        (["*: noai"], "noai"),
        (["otherbot: nofollow, tagmill: noai"], "noai"),
        (["otherbot: noindex", "noai"], "noai"),  # an agent holds to the end of its header
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noindex"], "noindex"),
        (["unavailable_after: Friday, 25-Jun-10 15:00:00 UTC, noindex"], "noindex"),
        (["max-image-preview: large, noimageindex"], "noimageindex"),
    ],
)
def test_headers_that_forbid_use(headers: list[str], rule: str) -> None:
    assert opt_out(headers, US) == rule


@pytest.mark.parametrize(
    "headers",
    [
        *[[], [""], ["all"], ["nofollow, noarchive, nosnippet"], ["index"], ["noindexes"], ["x noindex"]],
        *[["otherbot: noindex"], ["otherbot: noai, noindex"], ["tagmill: nofollow, otherbot: noindex"]],
        *[["unavailable_after: 25 Jun 2010 15:00:00 PST"], ["max-snippet: -1"], [":,:,::"], ["noindex: all"]],
    ],
)
def test_headers_that_allow_use(headers: list[str]) -> None:
    assert opt_out(headers, US) is None


def test_both_the_user_agent_and_the_tool_may_be_named() -> None:
    agents = agents_of("Examplebot/1 (+https://example.org)")
    assert agents == {"examplebot", "tagmill"}
    assert opt_out(["examplebot: noai"], agents) == opt_out(["tagmill: noai"], agents) == "noai"
    assert opt_out(["examplebot: noai"], US) is None


@given(st.lists(st.text(alphabet=st.sampled_from("noai,:* \tindexTAGMILL-ü"), max_size=60), max_size=3))
def test_no_text_breaks_it(headers: list[str]) -> None:
    rule = opt_out(headers, US)
    assert rule is None or any(rule in value.lower() for value in headers)
