"""Each message that the page on troubleshooting quotes is one that the sources have, and each reason one of the list."""

import ast
import re
from functools import cache

import pytest

from tagmill.ingest.reasons import Reason
from tests.markdown import ROOT, Page

PAGE = Page(ROOT / "docs/troubleshooting.md")
ROOMS = ("shards", "ingest", "pipeline", "training", "predict")
LEAST = 12  # letters of a message's longest part that does not differ


def first_cells(head: str) -> list[str]:
    """The first cell of each row of the tables with this head."""
    tables = re.findall(rf"^\| {head} \| .*\n\| --- .*\n((?:\|.*\n)+)", PAGE.text, re.MULTILINE)
    return [row.split(" | ")[0].removeprefix("| ") for table in tables for row in table.splitlines()]


MESSAGES = [cell.strip("`") for cell in first_cells("message")]


@cache
def texts() -> tuple[str, ...]:
    """The string constants of our sources; "\\0" is what differs in an f-string. Strings that are added are one."""
    files = [*(path for room in ROOMS for path in (ROOT / room).rglob("*.py")), ROOT / "cli.py", ROOT / "train.py"]
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text())))
    return tuple(filter(None, (text_of(node) for node in nodes if isinstance(node, ast.Constant | ast.JoinedStr))))


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    assert isinstance(node, ast.JoinedStr)
    return "".join(text_of(part) if isinstance(part, ast.Constant) else "\0" for part in node.values)


def pattern_of(message: str) -> re.Pattern[str]:
    return re.compile(".*?".join(re.escape(part) for part in message.split("...")), re.DOTALL)


def test_the_tables_are_found() -> None:
    assert len(MESSAGES) > 30 and len(set(MESSAGES)) == len(MESSAGES)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_is_in_the_sources(message: str) -> None:
    assert max(map(len, message.split("..."))) >= min(LEAST, len(message) - 3), "too little to be searched for"
    assert any(pattern_of(message).search(text) for text in texts()), message


def test_a_message_that_is_not_ours_is_not_found() -> None:
    assert not any(pattern_of("no corpus ... anywhere else").search(text) for text in texts())


def test_reasons_are_those_of_the_list() -> None:
    cells = first_cells("reason")
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert len(cells) == 7 and named <= {reason.value for reason in Reason}
