"""Looks up tokens in WordNet 3.0's nouns, and turns synsets into labels."""

import functools
import re
from collections.abc import Iterable, KeysView, Sequence
from typing import Literal, assert_never

import numpy as np

from tagmill.ingest.labels.wordnet import Table, shipped
from tagmill.ingest.labels.wordnet.table import text_lines
from tagmill.shards.errors import TagmillError

# 354 nouns of WordNet have one or two letters (`he` is helium, `or` is Oregon); as tags they are noise.
MIN_TOKEN_CHARS = 3

# Endings of regular plurals, from WordNet's morphy(7).
_ENDINGS = (
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)
_LAST_LETTERS = ("s", "men")  # the last letters of all endings

SynsetSet = tuple[str, ...]
"""Ids like `n02132136`, ascending and distinct; never empty where it is a label."""

SenseRule = Literal["merge", "first", "all"]
"""What a token with several synsets becomes, see `labels_from`."""

# The lexicographer files of nouns, lexnames(5WN), with their numbers there. `tops` has the words that head the other
# files: `animal`, `plant`, `person`, `food`.
_LEXFILES = """tops act animal artifact attribute body cognition communication event feeling food group location motive
object person phenomenon plant possession process quantity relation shape state substance time"""
LEXFILES = {name: number for number, name in enumerate(_LEXFILES.split(), start=3)}


class WordNet:
    """The nouns of WordNet 3.0. Synset ids are ImageNet's: `n` and the offset in eight digits."""

    def __init__(self, table: Table) -> None:
        """Indexes a table; `WordNet.load()` returns the shipped one."""
        self._offsets = table.synsets
        self._instances = table.instances
        self._lexfiles = table.lexfiles
        self._hypernyms, self._hypernyms_bounds = table.hypernyms, table.hypernyms_bounds
        self._senses, self._senses_bounds = table.senses, table.senses_bounds
        self._forms = {form: item for item, form in enumerate(text_lines(table.forms))}
        self._exceptions = {plural: bases for plural, *bases in map(str.split, text_lines(table.exceptions))}
        self._lemmas = table.lemmas.tobytes()
        self._lemmas_ends = np.flatnonzero(table.lemmas == ord("\n"))

    @staticmethod
    def load() -> "WordNet":
        """Returns the shipped table, read once per process."""
        return _load()

    @property
    def forms(self) -> KeysView[str]:
        """The squashed forms of all nouns, in ASCII order, including the short ones."""
        return self._forms.keys()

    def __contains__(self, synset: str) -> bool:
        """Returns whether this is the id of a noun synset."""
        return self._find(synset) is not None

    def lookup(self, token: str, *, instances: bool = False) -> SynsetSet:
        """Returns the ids of all synsets that the token (as returned by `hashtags.clean`) can mean, ascending; often none.

        The first of these stages that finds a noun decides: the token itself; its entry in WordNet's list of irregular
        plurals; the token without plural endings. Where a stage finds several base forms, the result is their union.
        Then named entities (instance synsets) are removed unless `instances`, which may leave nothing: `#wales` is the
        country, hence no label, and not a plural of `wale`. A synset id (`n02132136`) means itself.
        """
        return tuple(sorted(self.senses(token, instances=instances)))

    def senses(
        self, token: str, *, instances: bool = False, entities: frozenset[str] = frozenset(), short: bool = False
    ) -> SynsetSet:
        """Returns the ids of `lookup`, with the commonest sense of the first base form first.

        `entities` are named entities that are kept without `instances`; with `short`, tokens of one or two characters
        count as nouns.
        """
        stay = None if instances else entities
        bases = self.bases(token, short=short)
        if not bases:  # most tags of the web
            return self._from_id(token, stay)
        rows: dict[int, None] = {}
        for base in bases:
            item = self._forms[base]
            rows.update(dict.fromkeys(self._senses[self._senses_bounds[item] : self._senses_bounds[item + 1]].tolist()))
        return tuple(f"n{self._offsets[row]:08d}" for row in rows if self._is_allowed(row, stay))

    def _from_id(self, token: str, entities: frozenset[str] | None) -> SynsetSet:
        """Returns a token that is a synset id, as in ImageNet's folder names."""
        row = self._find(token) if len(token) == 9 and token[0] == "n" else None
        return (token,) if row is not None and self._is_allowed(row, entities) else ()

    def _is_allowed(self, row: int, entities: frozenset[str] | None) -> bool:
        """Returns whether a synset is a class of things, or one of the allowed named entities (None: all)."""
        return entities is None or not self._instances[row] or f"n{self._offsets[row]:08d}" in entities

    def lemmas(self, synset: str) -> tuple[str, ...]:
        """Returns the synset's words as WordNet writes and orders them: `('brown_bear', 'bruin', 'Ursus_arctos')`."""
        row = self._row(synset)
        start = self._lemmas_ends[row - 1] + 1 if row else 0
        return tuple(self._lemmas[start : self._lemmas_ends[row]].decode("ascii").split(" "))

    def all_lemmas(self) -> list[str]:
        """Returns the words of all synsets as WordNet writes them, those of several synsets repeatedly."""
        return self._lemmas.decode("ascii").split()

    def hypernyms(self, synset: str) -> SynsetSet:
        """Returns the synsets directly above, ascending; for a named entity, the classes that it is an instance of."""
        row = self._row(synset)
        above = self._hypernyms[self._hypernyms_bounds[row] : self._hypernyms_bounds[row + 1]]
        return tuple(f"n{offset:08d}" for offset in sorted(self._offsets[above]))

    def hyponyms(self, synset: str) -> SynsetSet:
        """Returns the synsets directly below, ascending; for a class, including its named entities."""
        return tuple(f"n{offset:08d}" for offset in self._below.get(int(self._offsets[self._row(synset)]), ()))

    @functools.cached_property
    def _below(self) -> dict[int, list[int]]:
        """Offsets directly below each offset that has some, ascending."""
        children = np.repeat(self._offsets, np.diff(self._hypernyms_bounds)).tolist()
        found: dict[int, list[int]] = {}
        for child, parent in zip(children, self._offsets[self._hypernyms].tolist(), strict=True):
            found.setdefault(parent, []).append(child)
        return found

    def lexfile(self, synset: str) -> int:
        """Returns the number of the lexicographer file, see `LEXFILES`."""
        return int(self._lexfiles[self._row(synset)])

    def is_instance(self, synset: str) -> bool:
        """Returns whether the synset is a named entity (Paris) and not a class of things (city)."""
        return bool(self._instances[self._row(synset)])

    def _row(self, synset: str) -> int:
        row = self._find(synset)
        if row is None:
            raise TagmillError(
                f"no noun synset {synset!r} in WordNet 3.0",
                remedy="write ids as ImageNet does: n and eight digits, of version 3.0",
            )
        return row

    def _find(self, synset: str) -> int | None:
        if not is_synset(synset):
            return None
        row = int(
            self._offsets.searchsorted(np.int32(synset[1:]))
        )  # the array's dtype; another one would convert the whole array
        return row if row < len(self._offsets) and self._offsets[row] == int(synset[1:]) else None

    def bases(self, token: str, *, short: bool = False) -> Sequence[str]:
        """Returns the squashed forms whose synsets `lookup` joins: the token itself, or those that it is a plural of."""
        if len(token) < MIN_TOKEN_CHARS and not short:
            return ()
        if token in self._forms:
            return (token,)
        return self.singulars(token)

    def singulars(self, token: str) -> Sequence[str]:
        """Returns the squashed forms that the token is a plural of, whether or not it is a noun itself."""
        if token in self._exceptions:
            # Of any length: `axes` is a plural of `ax` and of `axis`.
            return self._exceptions[token]
        if not token.endswith(_LAST_LETTERS) or token.endswith("ss"):  # as in morphy: a word in `ss` is no plural
            return ()
        # Short bases are excluded again: `has`, `was` and `his` are no plurals.
        stems = [token[: -len(ending)] + singular for ending, singular in _ENDINGS if token.endswith(ending)]
        return [stem for stem in stems if stem in self._forms and len(stem) >= MIN_TOKEN_CHARS]


@functools.cache
def _load() -> WordNet:
    return WordNet(shipped())


def labels_of(
    token: str, rule: SenseRule = "merge", *, instances: bool = False, wordnet: WordNet | None = None
) -> tuple[SynsetSet, ...]:
    """Returns the labels of a token, see `labels_from`; empty for a token without synsets. Default: the shipped table."""
    return labels_from((wordnet or WordNet.load()).senses(token, instances=instances), rule)


def labels_from(senses: SynsetSet, rule: SenseRule) -> tuple[SynsetSet, ...]:
    """Returns the labels, each a set, that distinct synsets (the commonest first) become under the rule.

    `merge`: one label, the full set, so that tokens with the same set are one label (`brownbear`, `ursusarctos`).
    `first`: one label, the commonest sense alone. `all`: a label for each sense.
    """
    if not senses:
        return ()
    match rule:
        case "merge":
            return (tuple(sorted(senses)),)
        case "first":
            return (senses[:1],)
        case "all":
            return tuple((sense,) for sense in sorted(senses))
        case _:
            assert_never(rule)


def set_text(synsets: Iterable[str]) -> str:
    """Returns the canonical text of a set of synsets: `n02012849+n03126707`. Labels are compared by it."""
    text = "+".join(sorted(set(synsets)))
    parse_set(text)
    return text


def parse_set(text: str) -> SynsetSet:
    """Parses what `set_text` returns. Raises TagmillError for any other text."""
    synsets = tuple(text.split("+"))
    if not re.fullmatch(r"n[0-9]{8}(\+n[0-9]{8})*", text) or synsets != tuple(sorted(set(synsets))):
        raise TagmillError(
            f"{text!r} is not a set of synsets",
            remedy="write them in ascending order with + between, as n02012849+n03126707",
        )
    return synsets


def is_synset(text: str) -> bool:
    """Returns whether a text has the form of a synset id, whether or not WordNet has it."""
    return re.fullmatch(r"n[0-9]{8}", text) is not None
