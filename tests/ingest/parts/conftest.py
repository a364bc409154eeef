"""Parts that tests make in this process have decoders in common."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.images.decode_pool import Decoders
from tagmill.ingest.parts import make

usual_decoders: Callable[[IngestConfig], Decoders] = make._decoders


@pytest.fixture(scope="session", autouse=True)
def decoders_in_common() -> Iterator[None]:
    """A config begins decoders of its own, half a second of a processor each, and each test has another output and so another
    config. What a decoder is told of it is the same for most."""
    pools: dict[object, Decoders] = {}

    def found(config: IngestConfig) -> Decoders:
        told = (config.images, config.decode_timeout, config.max_pixels, config.decoders, config.max_bytes)
        if told not in pools:
            pools[told] = Decoders(config, config.max_bytes)
        return pools[told]

    with ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(make, "_decoders", found)
        yield
        for pool in pools.values():
            stack.callback(pool.end)
