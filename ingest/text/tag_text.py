"""Parses tags in table cells: separated text, lists written as text, objects with a name, and words that mean "no value"."""

import json
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

# Cells that mean "no value", as pandas, numpy, JSON, R, spreadsheets and SQL write it.
EMPTY_WORDS = frozenset(
    ["nan", "NaN", "-nan", "NaT", "None", "null", "NULL", "<NA>", "NA", "N/A", "n/a", "#N/A", "\\N"]
)
# Cells that may be more than separated text.
_WHOLE = r"^\s*(?:[\[({]|array\(|set\(|(?:" + "|".join(map(re.escape, sorted(EMPTY_WORDS))) + r")\s*$)"
# The key of an object that names its tag: the first of these that has text.
NAMES = ("name", "tag", "tag_name", "text", "title", "label", "hashtag", "raw", "_content", "value")
# Separators in other scripts, besides the full-width form of an ASCII character.
_FORMS = {",": "﹐︐、､﹑︑،", ";": "﹔︔؛", " ": "\N{IDEOGRAPHIC SPACE}"}
_ESCAPES = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\0": "\0"}  # as typed in a shell
_DEPTH = 8  # levels of nested lists
_READ = 1 << 16  # most characters of a list that the (slow) tokenizer parses; longer ones are left as text
_QUOTED = r""" "(?:[^"\\]|\\.)*+" | '(?:[^'\\]|\\.)*+' """
_TOKEN = re.compile(
    rf"""\s*+(?:
      ([][(){{}},:])
    | np\.str_\( ({_QUOTED}) \)
    | [ub]? ({_QUOTED})
    | ([^][(){{}},:"'\s]+)
    | (.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_QUOTES = re.compile(r"""[\[(]\s*+(?:(?:'[^'\\]*+'|"[^"\\]*+")[\s,]*+)*+[\])]""")
_INSIDE = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_DTYPE = re.compile(r"(?:,\s*dtype=[^\s,]+)?\)")
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_ESCAPED = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}
_CLOSING = {"[": "]", "(": ")", "{": "}"}


def unescaped(separator: str) -> str:
    r"""Returns a separator that was typed into a shell: `\\t` is a tab."""
    return _ESCAPES.get(separator, separator)


@lru_cache
def _forms(separator: str) -> list[str]:
    """Returns all forms of a separator: itself, and how other scripts write it."""
    wide = [chr(ord(separator) + 0xFEE0)] if len(separator) == 1 and "!" <= separator <= "~" else []
    return [separator, *wide, *_FORMS.get(separator, "")]


def needs_parsing(separator: str) -> str:
    """Returns a regular expression (RE2 syntax) of cells that `split` does not just split at the separator itself."""
    return "|".join([_WHOLE, *map(re.escape, _forms(separator)[1:])])


def split(text: str, separator: str) -> list[str]:
    """Returns the tags of a cell: none if it means "no value", the items of a list's text, or the separated parts."""
    bare = text.strip()
    if bare in EMPTY_WORDS:
        return []
    if (items := list_text(bare)) is not None:
        return items
    return re.split("|".join(map(re.escape, _forms(separator))), text)


def values(value: object, separator: str) -> list[str]:
    """Returns the tags of a JSON value: the items of a list, an object's name, or text that is split."""
    if value is None or _is_nothing(value):
        return []
    if isinstance(value, list) or (isinstance(value, dict) and _name(value, 0) is not None):
        return list(_flat(value, 0))
    return split(plain_tags(value) or "", separator)


def plain_tags(value: object) -> str | None:
    """Returns a JSON value as text; None for null and NaN. A lone surrogate, which JSON can spell, becomes '?'."""
    if value is None or _is_nothing(value):
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)
    return text.encode("utf-8", "replace").decode()


def list_text(text: str) -> list[str] | None:
    """Returns the tags of a list, tuple, set or numpy array that was written as text, or of objects with a name.

    None where the text is no list, but text like any other. Takes linear time.
    """
    if text.startswith("array("):
        end = text.rfind("]") + 1
        if not _DTYPE.fullmatch(text, end):
            return None
        text = text[len("array(") : end]
    if text in ("()", "set()"):
        return []
    if text[:1] in ("(", "{") and "'" not in text and '"' not in text and text != "{}":  # a remark: "(2020)"
        return None
    if text[:1] not in _CLOSING or text[-1:] != _CLOSING[text[:1]]:
        return None
    if _QUOTES.fullmatch(text):
        return [single or double for single, double in _INSIDE.findall(text)]
    try:
        found = _parsed(text)
    except (ValueError, RecursionError):
        return None
    return list(_flat(found, 0)) if _is_named(found, 0) else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        if len(text) > _READ:
            raise
        return _Reader(text).all()


def _is_named(value: Any, depth: int) -> bool:
    """Returns whether every object in a parsed value has a name."""
    if isinstance(value, list) and depth < _DEPTH:
        return all(_is_named(each, depth + 1) for each in value)
    return not isinstance(value, list) and (not isinstance(value, dict) or not value or _name(value, depth) is not None)


def _is_nothing(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _flat(value: Any, depth: int) -> Iterator[str]:
    """Yields the tags of a parsed value; an object without a name yields its JSON text."""
    if isinstance(value, list) and depth < _DEPTH:
        for each in value:
            yield from _flat(each, depth + 1)
        return
    if isinstance(value, dict) and (named := _name(value, depth)) is not None:
        yield from _flat(named, depth + 1)
        return
    if value != {} and (text := plain_tags(value)) is not None:
        yield text


def _name(value: dict[str, Any], depth: int) -> object:
    """Returns what names an object: text, or a list or object that holds the names."""
    for key in NAMES:
        found = value.get(key)
        if isinstance(found, str) or (isinstance(found, list) and depth < _DEPTH):
            return found
        if isinstance(found, dict) and depth < _DEPTH and _name(found, depth + 1) is not None:
            return found
    return None


class _Reader:
    """Parses lists as Python and numpy write them. Raises ValueError for anything else, including unquoted words."""

    def __init__(self, text: str) -> None:
        self._tokens = iter(_TOKEN.findall(text))
        self._next()

    def all(self) -> Any:
        found = self._value(0)
        if any(self._token):
            raise ValueError("more behind the list")
        return found

    def _next(self) -> None:
        self._token = next(self._tokens, ("",) * 5)
        self._mark = self._token[0]

    def _value(self, depth: int) -> Any:
        mark, numpy, text, word, _ = self._token
        self._next()
        if numpy or text:
            return _unquoted(numpy or text)
        if word:
            return _word(word)
        if mark not in _CLOSING or depth > _DEPTH:
            raise ValueError(mark)
        return self._items(_CLOSING[mark], depth)

    def _items(self, closing: str, depth: int) -> Any:
        """Parses the rest of a list, or of an object if a colon follows its first item."""
        items: list[Any] = []
        pairs: dict[str, Any] = {}
        while self._mark != closing:
            item = self._value(depth + 1)
            if closing == "}" and self._mark == ":" and isinstance(item, str):
                self._next()
                pairs[item] = self._value(depth + 1)
            else:
                items.append(item)
            if self._mark == ",":
                self._next()
        self._next()
        if pairs and items:
            raise ValueError("pairs and items")
        return pairs or (items if items or closing != "}" else {})


def _word(word: str) -> str | None:
    if word in EMPTY_WORDS:
        return None
    if _NUMBER.fullmatch(word) or word in ("true", "false", "True", "False"):
        return word
    raise ValueError(word)


def _unquoted(text: str) -> str:
    """Returns the content of a quoted text. Both halves of a surrogate pair, as JSON writes them, become one character."""
    if "\\" not in text:
        return text[1:-1]

    def char(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) == 1:
            return _CONTROLS.get(code, code)
        return chr(int(code[1:], 16))

    return _ESCAPED.sub(char, text[1:-1]).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
