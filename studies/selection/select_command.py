"""`tagmill teach select`: chooses images for each class by a teacher's scores, as a view of the corpus."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from tagmill.shards.progress.protocol import Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.terminal.lines import Figure, command_line, figure_lines, next_lines, print_lines, warning_lines
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.studies.selection.select_options import SelectOptions
from tagmill.studies.selection.selected_view import Selected, select
from tagmill.studies.selection.selection_facts import SelectionFacts
from tagmill.studies.selection.teacher_classes import listed

SELECT_COMMAND = CommandLine(
    "tagmill teach select",
    "Choose the images of each class by a teacher's scores: a view of the corpus to train a student on.",
    (SelectOptions, JsonOutput),
)


def select_command(arguments: Sequence[str]) -> str:
    """Runs one `tagmill teach select` command line; returns the corpus that it changed. Raises TagmillError."""
    options: SelectOptions
    shown: JsonOutput
    options, shown = SELECT_COMMAND.parse(arguments)
    with nullcontext(Silent()) if shown.json else progress_shown() as progress:
        selected = select(options, progress)
    if shown.json:
        facts = {**selected.facts.values(), "path": selected.labelled.view.path, "page": selected.page}
        sys.stdout.write(json.dumps(facts, indent=2, sort_keys=True) + "\n")
    else:
        print_lines(selection_lines(options.corpus, selected))
    return options.corpus


def selection_lines(corpus: str, selected: Selected) -> list[str]:
    """Returns what is printed at the end."""
    facts, view = selected.facts, selected.facts.view
    chosen = facts.chosen
    figures = [
        Figure("classes", f"{len(facts.names) - len(facts.empty):,} of {len(facts.names):,} with images", ""),
        Figure("images", f"{chosen.images:,}", "Of the train split, each once in an epoch."),
        Figure("labels", f"{chosen.rows:,}", "An image that is chosen for several classes has several."),
    ]
    return [
        safe_text(f"view {view}: {selected.labelled.view.path}", 400),
        *figure_lines(figures),
        *warning_lines(warnings_of(facts)),
        safe_text(f"page: {selected.page}", 400),
        *next_lines(
            command_line("tagmill", "corpus", "vocabulary", corpus, "--view", view),
            command_line("tagmill", "train", "--corpus", corpus, "--view", view),
        ),
    ]


def warnings_of(facts: SelectionFacts) -> list[str]:
    """Returns what is probably not what was meant."""
    found = []
    if facts.short and facts.rule != "unbalanced":
        found.append(f"{facts.short:,} classes have fewer than {facts.k:,} images to choose from: all were taken")
    if facts.empty:
        names = safe_text(listed(facts.empty), 200)
        found.append(f"{len(facts.empty):,} classes have no image: {names}")
    if facts.left_out:
        names = safe_text(listed(facts.left_out), 200)
        found.append(f"{len(facts.left_out):,} classes of the teacher without synsets are left out: {names}")
    return found
