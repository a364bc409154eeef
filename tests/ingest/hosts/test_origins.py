"""Origins of URLs, in one spelling each, and the hosts whose limits are for them."""

from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.fetch.robots_rules import origin_of
from tagmill.ingest.hosts import origins
from tagmill.ingest.http.urls import normalise, parsed_url

LABELS = st.lists(st.text("0189abxz-", min_size=1, max_size=63), min_size=1, max_size=6)


@given(st.sampled_from(["http://", "https://"]), LABELS)
def test_a_plain_origin_is_what_the_long_way_gives(scheme: str, labels: list[str]) -> None:
    place = scheme + ".".join(labels)
    assert origins._NORMAL_ORIGIN.fullmatch(place)
    usable = parsed_url(normalise(f"{place}/x"))
    assert origins._origin(place) == place
    assert usable is None or origin_of(usable) == place  # None: a name that is too long; it is asked for and fails


def test_a_host_with_an_international_name_has_one_robots_txt_whatever_its_spelling() -> None:
    places = ("http://münchen.example", "HTTP://MÜNCHEN.example:80", "http://xn--mnchen-3ya.example")
    assert {origins._origin(place) for place in places} == {"http://xn--mnchen-3ya.example"}


def test_origins_of_a_host_have_one_hash() -> None:
    places = ("http://a.example", "https://a.example", "http://a.example:8080", "https://b.example")
    assert [origins.asked_host(place) for place in places] == ["a.example"] * 3 + ["b.example"]
    assert len({origins._spread(place) for place in places}) == 2
    assert origins.asked_host("http://[bad") == "http://[bad"  # no host: it fails by itself
