"""Tests the message about too much memory: its numbers lead to a loader that fits."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagmill.bench import corpora
from tagmill.pipeline import Loader, LoaderConfig
from tagmill.pipeline.memory import over_limit
from tagmill.shards.errors import ConfigError


@given(
    st.integers(1, 512), st.integers(1, 4), st.integers(1, 128), st.integers(2, 10**7), st.integers(0, 10**9), st.data()
)
def test_the_product_that_is_named_fits_and_the_next_larger_one_does_not(
    streams: int, window: int, chunk: int, mean: int, rest: int, data: st.DataObject
) -> None:
    held = streams * window * chunk * mean
    limit = data.draw(st.integers(1, rest + held - 1))
    said = str(over_limit(rest + held, limit, held, streams, window, chunk))
    found = re.search(r"a product of ([\d,]+) fits", said)
    assert f"set memory_limit to {rest + held:,}" in said
    if found is None:
        assert "lower chunk, streams and batch_size" in said and rest + mean > limit
    else:
        product = int(found[1].replace(",", ""))
        assert rest + product * mean <= limit + mean / 1000 and rest + (product + 1) * mean > limit - mean / 1000


def test_a_corpus_of_large_images_is_refused_with_settings_that_fit(tmp_path: Path) -> None:
    noise = Image.effect_noise((600, 600), 90)
    noise.save(tmp_path / "large.jpg", "JPEG", quality=95)
    corpora.make_images([tmp_path / "large.jpg"], 64, tmp_path / "images", corpora.AS_IT_IS)
    corpora.make_corpus(tmp_path / "images", tmp_path / "corpus")
    limit = 300_000_000
    config = LoaderConfig(view=None, batch_size=4, size=32, threads=1, memory_limit=limit)
    with pytest.raises(ConfigError, match="or lower streams, window or chunk: a product of") as error:
        Loader(str(tmp_path / "corpus"), config)
    product = int(re.search(r"a product of ([\d,]+) fits", str(error.value))[1].replace(",", ""))  # type: ignore[index]
    assert product >= 16
    with Loader(str(tmp_path / "corpus"), replace(config, streams=4, window=1, chunk=min(64, product // 4))) as loader:
        assert loader.memory() <= limit
        assert next(iter(loader)).valid.all()
