"""Makes text that is not trusted (tags, names, URLs, metadata) safe for one line of a terminal or a log."""

import logging
import unicodedata
from typing import TextIO

from rich.cells import cell_len
from rich.text import Text

CUT = "..."
MARKS = 3  # combining marks of one character that are shown; more would be drawn over other lines
ERROR_CELLS = 4000  # of an error or a line of a log

# Characters without a width or ink that Python calls printable (Unicode's Default_Ignorable_Code_Point, and an empty
# Braille cell): with them two names that look the same can differ.
_INVISIBLE = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
)


def safe_text(text: str, cells: int = 200) -> str:
    """Returns one line of at most `cells` (at least 3) columns of a terminal.

    Control, bidirectional, zero-width and other invisible characters, line ends, surrogates and combining marks that pile up
    become escapes as Python writes them, such as \\x1b. A longer text is cut and ends with "...". The cost is bounded by
    `cells`, not by the length of the text. For Rich use `safe_cell`, or print with `markup=False`.
    """
    if len(text) <= cells and text.isascii() and text.isprintable():
        return text
    parts, widths, width, marks = list[str](), list[int](), 0, MARKS  # a mark in front would join what precedes it
    for char in text:
        combining = unicodedata.category(char) in ("Mn", "Me")
        marks = marks + 1 if combining else 0
        visible = char.isprintable() and char not in _INVISIBLE and marks <= MARKS
        part = char if visible else _escape(char)
        marks = marks if visible else MARKS  # an escape carries no mark either
        parts.append(part)
        widths.append(cell_len(part))
        width += widths[-1]
        if width > cells or len(parts) > (MARKS + 1) * cells:
            break
    else:
        return "".join(parts)
    while parts and width > cells - len(CUT):
        parts.pop()
        width -= widths.pop()
    return "".join(parts) + CUT


def safe_cell(text: str, cells: int = 60) -> Text:
    """Returns `safe_text` for a table or line of Rich, in which brackets are no markup."""
    return Text(safe_text(text, cells))


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


class SafeFormatter(logging.Formatter):
    """Formats a record of a log as one line, in which no text moves the cursor; a traceback keeps its lines."""

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).split("\n")
        if not (record.exc_info or record.exc_text or record.stack_info):
            lines = ["\n".join(lines)]
        return "\n".join(safe_text(line, ERROR_CELLS) for line in lines)


def escape_what_cannot_be_encoded(*streams: TextIO) -> None:
    """Has streams write characters outside of their encoding as escapes, so that a tag cannot end a command with an
    error."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
