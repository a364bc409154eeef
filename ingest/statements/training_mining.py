"""The assertion `cawg.training-mining` (before: `c2pa.training-mining`) of a C2PA manifest store.

Read without the manifest's signature: an opt-out holds, also one that is not signed or was changed. Nothing is fetched. The
assertion is a map of entries, each with `use`: `allowed`, `notAllowed` or `constrained`, in CBOR or JSON. In both, key and
text follow each other with little between them, so neither needs a parser. Source: CAWG's training and data mining
assertion 1.1.
"""

import re

_ASSERTION = re.compile(rb"(?:cawg|c2pa)\.training-mining")
_LONGEST = 1 << 14  # bytes of an assertion that are read
_ENTRY = re.compile(rb"(?:cawg|c2pa)\.(\w+)")
_USE = re.compile(
    rb'use(?:[jk]|["\s:]{1,16})(notAllowed|constrained)'
)  # j and k: how CBOR begins texts of 10 and 11 bytes
_OF_TRAINING = frozenset([b"ai_training", b"ai_generative_training", b"data_mining"])  # and not ai_inference


def not_allowed_by(store: bytes) -> str | None:
    """Returns the entry of a manifest store that forbids training, such as `cawg.ai_training: notAllowed`; None: none does.

    `constrained` counts as forbidden, because its terms are for people. Every manifest of the store counts, those of what the
    picture was made from included.
    """
    for assertion in _ASSERTION.finditer(store):
        content = store[assertion.end() : assertion.end() + _LONGEST]
        entries = list(_ENTRY.finditer(content))
        for number, entry in enumerate(entries):
            if entry[1] == b"training":  # `training-mining`: the next assertion
                break
            end = entries[number + 1].start() if number + 1 < len(entries) else len(content)
            use = _USE.search(content, entry.end(), end) if entry[1] in _OF_TRAINING else None
            if use is not None:
                return f"{entry[0].decode()}: {use[1].decode()}"
    return None
