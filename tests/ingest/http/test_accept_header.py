"""The `Accept` header names the media types that this build reads, and no others."""

from collections.abc import Iterator

import pytest
from PIL import Image, features

from tagmill.ingest.http.accept_header import accept_pictures
from tagmill.ingest.images import prepare


@pytest.fixture(autouse=True)
def looked_at_now() -> Iterator[None]:
    accept_pictures.cache_clear()
    yield
    accept_pictures.cache_clear()


def asked() -> set[str]:
    kinds = accept_pictures().split(", ")
    assert kinds[0] == "image/jpeg" and kinds[-1] == "*/*;q=0.1"
    return set(kinds[:-1])


def test_media_types_are_those_that_this_build_reads() -> None:
    """Pillow knows the name AVIF even where it was built without."""
    names = prepare._readable()
    kinds = {"AVIF": "image/avif", **Image.MIME}
    there = {"AVIF": features.check("avif"), "WEBP": features.check("webp")}
    assert asked() == {kinds[name] for name in names if there.get(name, True)}


@pytest.mark.parametrize(("feature", "kind"), [("avif", "image/avif"), ("webp", "image/webp")])
@pytest.mark.parametrize("there", [True, False])
def test_optional_codecs_are_detected(monkeypatch: pytest.MonkeyPatch, feature: str, kind: str, there: bool) -> None:
    monkeypatch.setattr(features, "check", lambda name: there if name == feature else True)
    assert (kind in asked()) == there and "image/jpeg" in asked()
