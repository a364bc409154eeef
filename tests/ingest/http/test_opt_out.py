"""X-Robots-Tag as sites write it: for all, for some, with dates in between, and in several headers."""

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
def test_who_forbids(headers: list[str], rule: str) -> None:
    assert opt_out(headers, US) == rule


@pytest.mark.parametrize(
    "headers",
    [
        *[[], [""], ["all"], ["nofollow, noarchive, nosnippet"], ["index"], ["noindexes"], ["x noindex"]],
        *[["otherbot: noindex"], ["otherbot: noai, noindex"], ["tagmill: nofollow, otherbot: noindex"]],
        *[["unavailable_after: 25 Jun 2010 15:00:00 PST"], ["max-snippet: -1"], [":,:,::"], ["noindex: all"]],
    ],
)
def test_who_does_not(headers: list[str]) -> None:
    assert opt_out(headers, US) is None


def test_a_user_agent_of_ones_own_is_addressed_as_well_as_the_tool() -> None:
    agents = agents_of("Somebody/1 (+https://example.org)")
    assert agents == {"somebody", "tagmill"}
    assert opt_out(["somebody: noai"], agents) == opt_out(["tagmill: noai"], agents) == "noai"
    assert opt_out(["somebody: noai"], US) is None


@given(st.lists(st.text(alphabet=st.sampled_from("noai,:* \tindexTAGMILL-ü"), max_size=60), max_size=3))
def test_no_text_breaks_it(headers: list[str]) -> None:
    rule = opt_out(headers, US)
    assert rule is None or any(rule in value.lower() for value in headers)
