"""Matches a tag to its labels: WordNet's nouns, plus aliases and translations, minus stopped tokens."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from tagmill.ingest.labels.hashtags import MAX_TOKEN_CHARS, clean
from tagmill.ingest.labels.synsets import LEXFILES, MIN_TOKEN_CHARS, SenseRule, SynsetSet, WordNet, labels_from
from tagmill.ingest.text.text_files import read_list, text_of
from tagmill.shards.errors import ConfigError
from tagmill.shards.formats.record import sha256_hex

MAX_FILE_BYTES = 1 << 26  # limit of files of aliases, translations or stopped tokens: about a million lines

NoMatch = Literal["not_a_noun", "named_entity", "stopped", "other_file", "too_short"]
"""Why a token has no label, see `TagMatcher.no_match_reason`."""


@dataclass(frozen=True)
class MatchRules:
    """How tags become labels. Reads its files to check them; raises ConfigError for invalid values and files.

    `lexfiles` names WordNet's lexicographer files (`animal`, `food`, ... see `synsets.LEXFILES`); synsets of other
    files are removed before a set becomes a label. `compounds` reads a token without a label as two nouns, see
    `splits`. `short_tokens` accepts tokens of one or two characters. `entities` are named entities that are kept
    without `instances`. The files are UTF-8, paths or URLs, without a header: `aliases` and `translations` have lines
    `token<TAB>noun` (`token,noun` where the name ends in `.csv`), the noun a word or a synset id; `stop` has one token
    a line. Tokens and nouns are cleaned as tags are.
    """

    rule: SenseRule = "merge"
    instances: bool = False
    lexfiles: tuple[str, ...] = ()
    compounds: bool = False
    aliases: str | None = None
    translations: str | None = None
    stop: str | None = None
    short_tokens: bool = False
    entities: tuple[str, ...] = ()
    # (field, sha256 of its file): rules with changed files are not equal, and a worker reads what was checked.
    digests: tuple[tuple[str, str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.rule not in get_args(SenseRule):
            raise ConfigError(f"no rule {self.rule!r}", "rule", f"give one of {', '.join(get_args(SenseRule))}")
        unknown = [name for name in self.lexfiles if name not in LEXFILES]
        if unknown:
            raise ConfigError(f"no file of nouns {unknown[0]!r}", "lexfiles", f"give some of {', '.join(LEXFILES)}")
        object.__setattr__(self, "lexfiles", tuple(sorted(set(self.lexfiles))))
        object.__setattr__(self, "entities", () if self.instances else tuple(sorted(set(self.entities))))
        digests = []
        for name, path in (("aliases", self.aliases), ("translations", self.translations), ("stop", self.stop)):
            if path is not None:
                data = _read(path)
                _stop_tokens(data, path) if name == "stop" else _parse_meanings(data, path, WordNet.load())
                digests.append((name, sha256_hex(data)))
        object.__setattr__(self, "digests", tuple(digests))

    def recipe(self) -> dict[str, object]:
        """Returns everything that labels depend on, for JSON; files by the sha256 of their content.

        Options that were added later are left out when they are off, so that older recipes keep their digest.
        """
        later: dict[str, object] = {"short_tokens": True} if self.short_tokens else {}
        if self.entities:
            later["entities"] = sha256_hex(" ".join(self.entities).encode())
        return {
            "rule": self.rule,
            "instances": self.instances,
            "lexfiles": list(self.lexfiles),
            "compounds": self.compounds,
            **{name: dict(self.digests).get(name) for name in ("aliases", "translations", "stop")},
            **later,
        }


class TagMatch(NamedTuple):
    """A tag's token, and the distinct labels that it leads to."""

    token: str
    labels: tuple[SynsetSet, ...]


class TagMatcher:
    """Matches tags by rules. Pickles as its rules: another process reads the tables again.

    The first of these that gives a label decides: the token's alias (in place of the token) or the token; its
    translation; with `compounds` its two halves, if it has no meaning at all, not even as a named entity. A stopped
    token has no label.
    """

    def __init__(self, rules: MatchRules) -> None:
        """Reads the files of the rules. Raises ConfigError where one has changed since the rules were made."""
        self._rules = rules
        self._nouns = WordNet.load()
        self._lexfiles = frozenset(LEXFILES[name] for name in rules.lexfiles)
        self._entities = frozenset(rules.entities)
        self._aliases = self._load_meanings("aliases", rules.aliases)
        self._translations = self._load_meanings("translations", rules.translations)
        self._stop = (
            _stop_tokens(self._read_checked("stop", rules.stop), str(rules.stop)) if rules.stop else frozenset[str]()
        )

    def __reduce__(self) -> tuple[type["TagMatcher"], tuple[MatchRules]]:
        return TagMatcher, (self._rules,)

    def match(self, tag: str) -> TagMatch:
        """Returns the token and labels of any text; a function of the text and the rules only."""
        token = clean(tag)
        if token in self._stop:
            return TagMatch(token, ())
        plain = self._direct_senses(token)
        if plain:
            return TagMatch(token, labels_from(plain, self._rules.rule))
        labels: tuple[SynsetSet, ...] = ()
        if token in self._translations:
            labels = labels_from(self._filtered(self._translations[token]), self._rules.rule)
        if not labels and self._rules.compounds and not self._all_senses(token):
            labels = self._compound_labels(token)
        return TagMatch(token, labels)

    def no_match_reason(self, token: str) -> NoMatch | None:
        """Returns why a token, as returned by `clean`, has no label; None if it has one.

        `stopped`; `named_entity` or `other_file` for a noun of which these rules leave no meaning; `too_short` for one
        or two characters without `short_tokens`; else `not_a_noun`.
        """
        if self.match(token).labels:
            return None
        if token in self._stop:
            return "stopped"
        meant = self._all_senses(token)
        if not meant:
            short = len(token) < MIN_TOKEN_CHARS and not self._rules.short_tokens
            return "too_short" if short else "not_a_noun"
        named = not self._rules.instances and all(map(self._nouns.is_instance, meant))
        return "named_entity" if named else "other_file"

    def _direct_senses(self, token: str) -> SynsetSet:
        if token in self._aliases:
            return self._filtered(self._aliases[token])
        rules = self._rules
        senses = self._nouns.senses(token, instances=rules.instances, entities=self._entities, short=rules.short_tokens)
        return self._filtered(senses) if self._lexfiles else senses

    def _all_senses(self, token: str) -> SynsetSet:
        """Returns what the token would mean without filters."""
        known = self._aliases.get(token) or self._nouns.senses(token, instances=True, short=self._rules.short_tokens)
        return known or self._translations.get(token, ())

    def _filtered(self, senses: SynsetSet) -> SynsetSet:
        return tuple(
            synset
            for synset in senses
            if (self._rules.instances or synset in self._entities or not self._nouns.is_instance(synset))
            and (not self._lexfiles or self._nouns.lexfile(synset) in self._lexfiles)
        )

    def _compound_labels(self, token: str) -> tuple[SynsetSet, ...]:
        """Returns the labels of both halves of the first split in which each half has some."""
        for halves in splits(token):
            if self._stop.isdisjoint(halves) and all(map(self._direct_senses, halves)):
                labels = (
                    label for half in halves for label in labels_from(self._direct_senses(half), self._rules.rule)
                )
                return tuple(dict.fromkeys(labels))
        return ()

    def _load_meanings(self, name: str, path: str | None) -> dict[str, SynsetSet]:
        return {} if path is None else _parse_meanings(self._read_checked(name, path), path, self._nouns)

    def _read_checked(self, name: str, path: str) -> bytes:
        data = _read(path)
        if (name, sha256_hex(data)) not in self._rules.digests:
            raise ConfigError("the file has changed since the rules were made", path, "start again")
        return data


def splits(token: str) -> Iterator[tuple[str, str]]:
    """Yields the ways to read a token as two words of at least three letters, the longest last word first.

    The last word of a compound says what it is, and most wrong splits have a short last word (`sport` + `scar`).
    docs/how-to/labels.md says how often the first split into nouns is right.
    """
    for start in range(MIN_TOKEN_CHARS, len(token) - MIN_TOKEN_CHARS + 1):
        yield token[:start], token[start:]


def _read(path: str) -> bytes:
    return read_list(path, MAX_FILE_BYTES, "give a text in UTF-8, a token a line")


def _text(data: bytes, path: str) -> io.StringIO:
    """Opens the lines of a file, with any line ends; unlike `splitlines`, which also breaks at characters inside words."""
    return io.StringIO(text_of(data, path), newline=None)


def _stop_tokens(data: bytes, path: str) -> frozenset[str]:
    return frozenset(
        _token(line, f"{path}, line {number}") for number, line in enumerate(_text(data, path), 1) if line.strip()
    )


def _parse_meanings(data: bytes, path: str, nouns: WordNet) -> dict[str, SynsetSet]:
    """Returns the senses of each token of a file, the commonest first, including named entities."""
    meanings: dict[str, SynsetSet] = {}
    lines: dict[str, int] = {}
    for line, token, noun in _pairs(data, path):
        senses = (noun,) if noun in nouns else nouns.senses(clean(noun), instances=True, short=True)
        if not senses:
            remedy = "give a noun, or a synset's id as n02084071"
            raise ConfigError(f"{noun!r} is no noun of WordNet 3.0", f"{path}, line {line}", remedy)
        if set(meanings.setdefault(token, senses)) != set(senses):
            where = f"{path}, line {line} and line {lines[token]}"
            raise ConfigError(f"{token!r} appears twice with different meanings", where, "remove one")
        lines.setdefault(token, line)
    return meanings


def _pairs(data: bytes, path: str) -> Iterator[tuple[int, str, str]]:
    """Yields (line number, token, noun) of each line that is not empty."""
    text = _text(data, path)
    rows: Iterable[list[str]]
    if path.lower().endswith(".csv"):
        rows = reader = csv.reader(text)
    else:
        rows = reader = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        for row in rows:
            where = f"{path}, line {reader.line_num}"
            words = [word.strip() for word in row]
            if not any(words):
                continue
            if len(words) != 2:
                remedy = "write a token, a tab (in a .csv a comma) and a noun"
                raise ConfigError(f"{len(words)} columns where two are expected", where, remedy)
            yield reader.line_num, _token(words[0], where), words[1]
    except csv.Error as error:
        raise ConfigError(f"cannot be read: {error}", f"{path}, line {reader.line_num}", "mend the line") from error


def _token(text: str, where: str) -> str:
    token = clean(text)
    if not token:
        what = f"{text.strip()[:80]!r} is no token"
        raise ConfigError(what, where, f"give one to {MAX_TOKEN_CHARS} letters or digits, or remove the line")
    return token
