"""Which stage of an ingest a field of its options affects first: the metadata of each field."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

Stage = Literal["fetch", "select", "pack", "label"]
STAGES: tuple[Stage, ...] = get_args(Stage)  # in their order; fetch begins with dealing the rows


def _touches(stage: Stage | None, *, content: bool = False) -> Mapping[str, object]:
    return MappingProxyType({"stage": stage, "content": content})


# The metadata of a field, by the first stage whose results depend on it.
FETCH, SELECT, PACK, LABEL = (_touches(stage) for stage in STAGES)
FETCH_CONTENT, SELECT_CONTENT = (
    _touches("fetch", content=True),
    _touches("select", content=True),
)  # of the files it names
NO_BYTE = _touches(None)  # where and how fast a run works, and how patient it is with the web
