"""Finds hashtags in captions, and cleans tags into the tokens that labels are looked up by."""

import re
import unicodedata
from itertools import takewhile

# The longest noun of WordNet 3.0 has 64 letters without spaces. A longer token has no label, and would let one hostile
# caption fill the token tables.
MAX_TOKEN_CHARS = 64

# A hash sign before U+FE0F or U+20E3 is an emoji (a key cap), and begins no hashtag.
_HASH = re.compile("[#\N{FULLWIDTH NUMBER SIGN}\N{SMALL NUMBER SIGN}](?![\ufe0f\u20e3])")
_EMOJI = ("\N{VARIATION SELECTOR-16}", "\N{COMBINING ENCLOSING KEYCAP}")  # the last code point of many emoji
SEVERAL_HASHTAGS = r"(?s)[#＃﹟].*\S.*[#＃﹟]"  # tags that `split_hashtags` must look at (RE2 syntax)
_JOINERS = "_\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


class _Folds(dict[int, str]):
    """Lazy table for `str.translate`: what one code point becomes.

    Folding characters one by one gives the same result, because the marks that normalisation would reorder are dropped,
    and it keeps cleaning linear: normalising a long run of combining marks takes quadratic time.
    """

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if unicodedata.category(char) in ("Cn", "Co", "Cs"):
            return ""  # not cached: unassigned, private and surrogate code points would grow the table without bound
        folded, before = char, ""
        while folded != before:
            before = folded
            # Marks are neither letters nor digits, so `isalnum` drops them too.
            bare = "".join(filter(str.isalnum, unicodedata.normalize("NFKD", folded)))
            folded = "".join(filter(str.isalnum, bare.casefold()))
        self[code] = folded
        return folded


_FOLDS = _Folds()


def clean(text: str) -> str:
    """Returns the token of a tag: its letters and digits, of any script, without case, accents or compatibility forms.

    Applies NFKD, drops marks, casefolds and applies NFKC until nothing changes; a leading `#`, spaces and emoji are
    dropped, like everything that is neither letter nor digit. Accepts any `str` in linear time, including lone
    surrogates; `clean(clean(x))` is `clean(x)`. Empty if nothing is left, or more than `MAX_TOKEN_CHARS` characters.
    """
    before = text
    token = unicodedata.normalize("NFKC", text.translate(_FOLDS))
    while token != before:
        before, token = token, unicodedata.normalize("NFKC", token.translate(_FOLDS))
    return token if len(token) <= MAX_TOKEN_CHARS else ""


def hashtags_in(caption: str) -> list[str]:
    """Returns the hashtags of a caption in order, as written but without the `#`; repeated ones are repeated.

    A hashtag is a run of letters, digits, marks, underscores and joiners with at least one letter. A `#` inside a word,
    a path or a character reference (`page#part`, `a/#part`, `&#39;`) begins none; `#sun#sea` is two. Emoji are no
    words, whatever marks they end with.
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


def split_hashtags(tag: str) -> list[str]:
    """Returns the hashtags of a tag that contains several (`#cat #dog`, `#cat#dog`), without the `#`; else [tag]."""
    before, *runs = _HASH.split(tag)
    found = [run.strip() for run in runs if any(map(str.isalnum, run))]
    return found if len(found) > 1 and not any(map(str.isalnum, before)) else [tag]


def _ends_word(text: str) -> bool:
    """Returns whether a text ends with a letter, digit or underscore, not counting trailing marks and joiners; no emoji."""
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
