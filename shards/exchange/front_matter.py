"""YAML front matter of a Markdown file, in which no text of a corpus is more than a string."""

import json
import unicodedata


def front_matter(fields: dict[str, object]) -> str:
    """Returns the lines of the front matter, `---` above and below. Values are JSON, which YAML includes; characters that
    could end a comment or a line, or are not seen, are escapes."""
    lines = [f"{name}: {_visible(json.dumps(value, ensure_ascii=False))}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _visible(text: str) -> str:
    return "".join(_escaped(each) if each in "<>" or not is_plain(each) else each for each in text)


def is_plain(character: str) -> bool:
    """Whether a character is seen where it is: no control, mark of direction, separator of lines or lone surrogate."""
    return unicodedata.category(character) not in ("Zl", "Zp") and unicodedata.category(character)[0] != "C"


def _escaped(character: str) -> str:
    """As in a string of YAML; below 2^16 also one of JSON."""
    number = ord(character)
    return f"\\U{number:08x}" if number >> 16 else f"\\u{number:04x}"
