"""`tagmill corpus card`: writes the descriptions of a corpus again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import tyro
from rich.console import Console
from rich.text import Text

from tagmill.shards.exchange.card import CARD
from tagmill.shards.exchange.descriptions import write_descriptions
from tagmill.shards.settings.options import CommandLine, JsonOutput


@dataclass(frozen=True, kw_only=True)
class CardOptions:
    """Which corpus is described."""

    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus."""


CARD_COMMAND = CommandLine(
    "tagmill corpus card",
    "Write the dataset card and the Croissant description of a corpus.",
    (CardOptions, JsonOutput),
)


def card_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus card` command line."""
    options, shown = CARD_COMMAND.parse(arguments)
    written = write_descriptions(options.corpus)
    console = Console()
    if shown.json:
        console.print_json(json.dumps({"written": written}))
        return
    console.print(Text(f"written: {', '.join(written)}"))
    if CARD not in written:
        console.print(Text(f"{CARD} stays as it is: it has no mark of tagmill"))
