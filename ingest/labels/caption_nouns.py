"""Finds the nouns of captions: the longest nouns of WordNet among a caption's words, without a tagger or parser.

After S. Mehta et al., "CatLIP" (2024), which makes labels of the nouns of captions. There a tagger of parts of speech
finds them; here `rarely_nouns` leaves out words that are rather verbs or adjectives.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal, NamedTuple

from tagmill.ingest.labels.hashtags import MAX_TOKEN_CHARS, clean
from tagmill.ingest.labels.synsets import MIN_TOKEN_CHARS, WordNet
from tagmill.ingest.labels.wordnet.rarely import rarely_nouns

MAX_WORDS = 256  # of a caption that are read, so that one hostile caption costs as little as a long one

# The closed classes of English: pronouns and determiners, prepositions, conjunctions, auxiliaries. Some are spelt like a
# noun (`will`, `a` for ampere, `does` for female deer).
_FUNCTION_WORDS = """
i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her
hers herself it its itself one ones oneself they them their theirs themselves this that these those who whom whose which what
whatever whichever anyone anything everyone everything someone something none nothing each other others another
both either neither all any some every few many much more most less least several own enough no such a an the

about above across after against along among around as at before behind below beneath beside besides between beyond by
despite down during except for from in inside into like near of off on onto opposite out outside over past per plus since
than through throughout till to toward towards under underneath until up upon via versus vs with within without

and but or nor so yet if because although though unless while whereas whether when where why how

be am is are was were been being have has had having do does did done doing can could may might must shall should will
would ought not"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
# Addresses, character references and hashtags (`hashtags_in` reads these) are skipped; each part is linear in the text.
_PIECES = re.compile(
    r"https?://\S+|www\.\S+|&\#?\w{1,31};|[\#\uff03\ufe5f]\w+"
    r"|(?P<word>(?:[^\W_]|[\u0300-\u036f])+(?:['\u2019](?:[^\W_]|[\u0300-\u036f])+)*['\u2019]?)"
)
_MAX_WRITTEN = 2 * MAX_TOKEN_CHARS  # with marks that are written apart
_POSSESSIVE = re.compile(r"['\u2019][sS]?$")
_WORD_ENDS = re.compile(r"[_\W]+")  # inside lemmas: `golden_retriever`, `T-shirt`
_HYPHENS = ("-", "\u2010", "\u2011")
_NO_SENTENCE_ENDS = frozenset(" \t\r\n\xa0_,&+'\u2019-\u2010\u2011")
_INITIALS = 2  # letters of a word after which a full stop ends no noun: `St. Bernard`
_CASE_LETTERS = 4  # shorter words have small letters in titles too

Link = Literal["space", "hyphen", "other"]


class _Word(NamedTuple):
    """A word of a caption."""

    token: str  # letters and digits, with an ending 's
    bare: str  # without it
    link: Link  # to the word before
    begins: bool  # a sentence, as far as punctuation shows
    capital: bool


class CaptionNouns:
    """Finds nouns by a table of WordNet."""

    def __init__(self, wordnet: WordNet, rarely: frozenset[str]) -> None:
        """Indexes the nouns of several words, and those that are written with a capital; `rarely` are no nouns."""
        self._wordnet, self._rarely = wordnet, rarely
        self._compounds: set[str] = set()  # words with spaces between
        self._most_words: dict[str, int] = {}  # by the first word of compounds
        self._capitals: set[str] = set()
        for lemma in wordnet.all_lemmas():
            words = [word for word in map(clean, _WORD_ENDS.split(lemma.replace("'", ""))) if word]
            if len(words) > 1:
                self._compounds.add(" ".join(words))
                self._most_words[words[0]] = max(len(words), self._most_words.get(words[0], 0))
            elif words and lemma[0].isupper():
                self._capitals.add(words[0])

    @staticmethod
    def load() -> "CaptionNouns":
        """Returns those of the shipped table, made once per process."""
        return _load()

    def find(self, caption: str) -> list[str]:
        """Returns the distinct nouns of a caption in order, as tags: in small letters and, where that is clear, the singular.

        At each word the longest noun begins, if any does; the next word after it follows. Only spaces and hyphens join
        the words of a noun. The first MAX_WORDS words are read. Accepts any `str`, in linear time.
        """
        words = list(islice(_words(caption), MAX_WORDS))
        keeps_case = _keeps_case(words)
        found: dict[str, None] = {}
        at = 0
        while at < len(words):
            tag, count = self._compound(words, at) or (self._single(words[at], keeps_case), 1)
            if tag:
                found[tag] = None
            at += count
        return list(found)

    def _compound(self, words: Sequence[_Word], at: int) -> tuple[str, int] | None:
        """Returns the longest noun of several words that begins here, and their number."""
        most = min(self._most_words.get(words[at].token, 0), len(words) - at)
        count = next((n for n in range(1, most) if words[at + n].link == "other"), most)
        for number in range(count, 1, -1):
            some = words[at : at + number]
            if not _is_phrase(some):
                *before, last = (word.token for word in some)
                for ending in dict.fromkeys((last, some[-1].bare, *self._wordnet.bases(some[-1].bare))):
                    if " ".join((*before, ending)) in self._compounds:
                        return _joined(some, (*before, ending)), number
        return self._hyphenated(words, at)

    def _hyphenated(self, words: Sequence[_Word], at: int) -> tuple[str, int] | None:
        """Returns words with hyphens between that WordNet writes as one: `rain-coat`."""
        if words[at].link == "hyphen":
            return None
        end = at + 1
        while end < len(words) and words[end].link == "hyphen":
            end += 1
        if end == at + 1:
            return None
        tag = self._noun("".join([*(word.token for word in words[at : end - 1]), words[end - 1].bare]))
        return (tag, end - at) if tag else None

    def _single(self, word: _Word, keeps_case: bool) -> str:
        if word.bare in FUNCTION_WORDS:
            return ""
        if word.capital and keeps_case and not word.begins and word.bare not in self._capitals:
            return ""  # a part of a name
        return self._noun(word.bare)

    def _noun(self, token: str) -> str:
        """Returns the noun of a token; empty if there is none, or it is hardly ever used as one."""
        bases = self._wordnet.bases(token) if len(token) <= MAX_TOKEN_CHARS else ()
        if self._rarely.issuperset(bases):
            bases = self._wordnet.singulars(token) if token in bases else ()
        if self._rarely.issuperset(bases) or not token.strip("0123456789"):
            return ""
        # `axes` has two base forms, and the one of `oxen` is too short for a tag.
        return bases[0] if len(bases) == 1 and len(bases[0]) >= MIN_TOKEN_CHARS else token


@functools.cache
def _load() -> CaptionNouns:
    return CaptionNouns(WordNet.load(), rarely_nouns())


def _words(caption: str) -> Iterator[_Word]:
    end = 0
    before = ""
    for piece in _PIECES.finditer(caption):
        written = piece["word"]
        if written is None or len(written) > _MAX_WRITTEN:
            before = ""
            end = piece.end()
            continue
        token, bare = _tokens(written)
        if not token:
            before = ""
        gap = caption[end : piece.start()]
        yield _Word(
            token, bare, _link(gap, before), not before or not _NO_SENTENCE_ENDS.issuperset(gap), _capital(written)
        )
        before, end = token, piece.end()


@functools.lru_cache(1 << 16)
def _tokens(written: str) -> tuple[str, str]:
    return clean(written), clean(_POSSESSIVE.sub("", written))


def _capital(written: str) -> bool:
    return written[0].isupper()


def _link(gap: str, before: str) -> Link:
    if not before:
        return "other"
    if gap in _HYPHENS:
        return "hyphen"
    if gap.startswith(".") and len(before) <= _INITIALS:
        gap = gap[1:]
    return "space" if not gap.strip(" \t\r\n\xa0_") else "other"


def _keeps_case(words: Sequence[_Word]) -> bool:
    """Returns whether capitals inside sentences are those of names: most words have none, unlike those of a title."""
    inside = [word.capital for word in words if not word.begins and len(word.bare) >= _CASE_LETTERS]
    return 2 * sum(inside) < len(inside)


def _is_phrase(words: Sequence[_Word]) -> bool:
    """Returns whether a function word begins or ends words that only look like a noun: `at home` is no at-home."""
    first, last = words[0], words[-1]
    return (first.token in FUNCTION_WORDS and words[1].link != "hyphen") or (
        last.token in FUNCTION_WORDS and last.link != "hyphen"
    )


def _joined(words: Sequence[_Word], tokens: Sequence[str]) -> str:
    """Returns a noun as written, with its hyphens, which are read again as they were."""
    links = ("-" if word.link == "hyphen" else " " for word in words[1:])
    return tokens[0] + "".join(link + token for link, token in zip(links, tokens[1:], strict=True))
