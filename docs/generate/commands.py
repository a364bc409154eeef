"""The page of commands: what `--help` of each prints."""

import io
import os
import re
from contextlib import redirect_stdout, suppress
from unittest import mock

from tagmill.cli import CORPUS, TEACH, main

PAGE = "docs/reference/commands.md"
COMMANDS = (
    "ingest",
    *(f"corpus {word}" for word in CORPUS),
    "bench",
    "train export",
    "train",
    "predict",
    "transfer compare",
    "transfer detect",
    "transfer",
    "transfer zero-shot",
    "transfer audit",
    "transfer vtab",
    *(f"teach {word}" for word in TEACH),
    "study",
)
_WIDTH = 118
_TERMINAL = {"COLUMNS": str(_WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
_HEAD = """# Commands

What `--help` prints, generated when this site is built. Every flag is a field of a dataclass of the same name
([ingest](api/ingest.md), [pipeline](api/pipeline.md)), so a command and a call from Python take the same values.
"""


def commands_page() -> str:
    """Returns the Markdown of the page: a section per command."""
    return _HEAD + "".join(f"\n## tagmill {command}\n\n```text\n{help_of(command)}```\n" for command in COMMANDS)


def help_of(command: str) -> str:
    """Returns the help text of `tagmill COMMAND`, without colours, `_WIDTH` columns wide."""
    text = io.StringIO()
    with mock.patch.dict(os.environ, _TERMINAL), redirect_stdout(text), suppress(SystemExit):
        main([*command.split(), "--help"])
    return re.sub(r"[ \t]+$", "", text.getvalue().strip("\n") + "\n", flags=re.MULTILINE)
