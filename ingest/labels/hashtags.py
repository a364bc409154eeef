"""Hashtags as people write them: found in a caption, and cleaned into the token that labels are looked up by."""

import re
import unicodedata
from itertools import takewhile

# The longest noun of WordNet 3.0 has 64 letters once its spaces are gone. A longer token leads to no label, and would
# only let one hostile caption fill the tables of tokens.
MAX_TOKEN_CHARS = 64

# A hash sign that U+FE0F or U+20E3 follows is an emoji (a key cap), and starts no hashtag.
_HASH = re.compile("[#\N{FULLWIDTH NUMBER SIGN}\N{SMALL NUMBER SIGN}](?![\ufe0f\u20e3])")
_EMOJI = ("\N{VARIATION SELECTOR-16}", "\N{COMBINING ENCLOSING KEYCAP}")  # the last mark of many emoji
SEVERAL = r"(?s)[#＃﹟].*\S.*[#＃﹟]"  # what `apart` need look at (RE2's syntax)
_JOINERS = "_\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


class _Folds(dict[int, str]):
    """What one code point becomes, worked out when it is first seen; made for `str.translate`.

    Going by single characters changes nothing, because the marks that normalisation would sort are dropped, and it
    keeps cleaning linear: on a long run of combining marks, normalising the whole text takes quadratic time.
    """

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if unicodedata.category(char) in ("Cn", "Co", "Cs"):
            return ""  # not kept: unassigned, private and surrogate code points would grow the table without end
        folded, before = char, ""
        while folded != before:
            before = folded
            # Marks are neither letters nor digits, so `isalnum` drops them with everything else.
            bare = "".join(filter(str.isalnum, unicodedata.normalize("NFKD", folded)))
            folded = "".join(filter(str.isalnum, bare.casefold()))
        self[code] = folded
        return folded


_FOLDS = _Folds()


def clean(text: str) -> str:
    """The token of a tag: its letters and digits, of any script, without case, accents or compatibility forms.

    NFKD, marks dropped, casefold, NFKC, repeated until nothing changes; a leading `#`, spaces and emoji fall away with
    all else that is neither letter nor digit. Takes any `str` in linear time, lone surrogates too; `clean(clean(x))` is
    `clean(x)`. The result is empty where nothing is left, or more than `MAX_TOKEN_CHARS` characters are.
    """
    before = text
    token = unicodedata.normalize("NFKC", text.translate(_FOLDS))
    while token != before:
        before, token = token, unicodedata.normalize("NFKC", token.translate(_FOLDS))
    return token if len(token) <= MAX_TOKEN_CHARS else ""


def hashtags_in(caption: str) -> list[str]:
    """The hashtags of a caption in their order, as written but without the `#`; one that is repeated comes again.

    A tag is a run of letters, digits, marks, underscores and joiners with at least one letter. `#` inside a word, a
    path or a character reference (`page#part`, `a/#part`, `&#39;`) starts none; glued tags (`#sun#sea`) are two. Emoji are
    no words, whatever marks they end with, and a key cap of `#` is an emoji.
    """
    before, *runs = _HASH.split(caption)
    after_tag = False
    tags = []
    for run in runs:
        glued = before[-1:] in ("/", "&") or _ends_word(before)
        tag = "".join(takewhile(_in_tag, run)) if after_tag or not glued else ""
        if any(map(str.isalpha, tag)):
            tags.append(tag)
        after_tag = bool(tag) and tag == run
        before = run
    return tags


def apart(tag: str) -> list[str]:
    """The hashtags of a tag that is several of them (`#cat #dog`, `#cat#dog`), without the `#`; else the tag as it is."""
    before, *runs = _HASH.split(tag)
    found = [run.strip() for run in runs if any(map(str.isalnum, run))]
    return found if len(found) > 1 and not any(map(str.isalnum, before)) else [tag]


def _ends_word(text: str) -> bool:
    """Whether a text ends with a letter, a digit or an underscore, marks and joiners behind it or not; an emoji is none."""
    if text.endswith(_EMOJI):
        return False
    for char in reversed(text):
        if char == "_" or not _in_tag(char):
            return char == "_"
        if char.isalnum():
            return True
    return False


def _in_tag(char: str) -> bool:
    return char != "" and (char.isalnum() or char in _JOINERS or unicodedata.category(char).startswith("M"))
