"""The `tagmill` command: finds the command that the words name, and turns an error into one line and status 1."""

import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from importlib.metadata import version
from typing import Annotated, Any, Union


@dataclass(frozen=True)
class Command:
    """Where a command is: its module is imported when it runs, so that `tagmill corpus info` does not wait for torch."""

    help: str
    module: str
    function: str
    options: str  # the CommandLine of the module
    extra: str  # of the package, that has its libraries


def _named(help: str, module: str, word: str, extra: str = "ingest") -> Command:
    return Command(help, f"tagmill.{module}", f"{word}_command", f"{word.upper()}_COMMAND", extra)


CORPUS = {
    "info": _named("Show name, format, samples per split and views of a corpus.", "shards.corpus_command", "info"),
    "vocabulary": _named(
        "Show the most and least frequent labels of a view and the tokens that led to them.",
        "shards.corpus_command",
        "vocabulary",
    ),
    "under": _named(
        "List the labels of a view below a WordNet synset, such as all dogs.", "ingest.labels.under_command", "under"
    ),
    "lint": _named(
        "Compare every byte of shards and views with the digests; status 1 at the first difference.",
        "shards.corpus_command",
        "lint",
    ),
    "takedown": _named(
        "Take samples out of a corpus: readers skip them from now on, and --purge deletes their bytes.",
        "ingest.takedown.takedown_command",
        "takedown",
    ),
    "plan": _named(
        "Predict memory, requests, cores and shuffle quality of a training run.",
        "pipeline.forecast.plan_command",
        "plan",
    ),
    "report": _named(
        "Make the report page of a corpus: one HTML file with figures, labels, rejects and images.",
        "browse.report.report_command",
        "report",
        "browse,ingest",
    ),
    "view": _named(
        "Make a view: another labelling of a corpus, without reading its images.", "ingest.views.view_command", "view"
    ),
    "export": _named(
        "Export a corpus to Parquet files with images, or to the layout of img2dataset.",
        "shards.exchange.export_command",
        "export",
    ),
    "card": _named(
        "Write the dataset card and the Croissant description of a corpus.", "shards.exchange.card_command", "card"
    ),
    "browse": _named(
        "Show a corpus in a web browser: labels, images, facts and rejects.",
        "browse.server.browse_command",
        "browse",
        "browse",
    ),
    "show": _named("Print the facts of a few samples and write their images.", "browse.show", "show"),
}
TEACH = {
    "score": _named(
        "Score every sample of a corpus by a teacher, and keep the best labels of each.",
        "studies.scores.score_command",
        "score",
        "transfer",
    ),
    "select": _named(
        "Choose the images of each class by a teacher's scores: a view of the corpus to train a student on.",
        "studies.selection.select_command",
        "select",
        "transfer,ingest",
    ),
    "run": _named(
        "Train teachers, let them choose images, train students, and judge all of them with several seeds.",
        "studies.chain.chain_command",
        "chain",
        "transfer,ingest",
    ),
}
GROUPS = {
    "corpus": ("Inspect or change a corpus", CORPUS),
    "teach": ("Let a teacher label a corpus for a student", TEACH),
}
COMMANDS = {
    "ingest": _named(
        "Fetch lists of image URLs and hashtags into a corpus of tar shards.",
        "ingest.ingest_command",
        "ingest",
        "ingest",
    ),
    "train": Command("Train a model on a corpus.", "tagmill.train", "main", "TRAIN_COMMAND", "train"),
    "train export": _named(
        "Export a trained model to a folder that timm and `tagmill predict` load.",
        "training.trained.export_command",
        "export",
        "train",
    ),
    "bench": _named(
        "Measure the loader on this machine and store, beside reading alone and decoding alone.",
        "pipeline.bench.bench_command",
        "bench",
        "all",
    ),
    "predict": _named("Name the labels of images by a trained model.", "predict.predict_command", "predict", "train"),
    "transfer": _named(
        "Judge a trained model on a labelled set by several protocols.",
        "transfer.command.transfer_command",
        "transfer",
        "transfer",
    ),
    "transfer compare": _named(
        "Compare two models on the same test images: difference, paired interval and McNemar's test.",
        "transfer.command.compare_command",
        "compare",
        "transfer",
    ),
    "transfer zero-shot": _named(
        "Judge the hashtags that a model predicts as classes of a labelled set, without any training.",
        "transfer.zero_shot.zero_shot_command",
        "zero_shot",
        "transfer",
    ),
    "transfer audit": _named(
        "Test whether a model predicts labels more often for one group of subjects than for the others.",
        "transfer.audit.audit_command",
        "audit",
        "transfer",
    ),
    "transfer vtab": _named(
        "Judge a trained model on the tasks of VTAB-1k that are there, by linear probes or by fine-tuning.",
        "transfer.vtab.vtab_command",
        "vtab",
        "transfer",
    ),
    "transfer detect": _named(
        "Train a detector over a pretrained network and evaluate it on a set in COCO's format.",
        "transfer.detection.detect_command",
        "detect",
        "transfer",
    ),
    "study": _named(
        "Repeat a study of the papers on an own corpus: plan, runs with several seeds, and a verdict.",
        "studies.command.study_command",
        "study",
        "transfer,ingest",
    ),
}
AFTER_A_STOP = {
    "ingest": "finished parts and steps are kept, and the same command continues where it stopped",
    "corpus": "nothing was changed; run the same command again",
    "corpus browse": "indexes that are finished are kept; run the same command again",
    "corpus card": "run the same command again",
    "corpus export": "finished files are kept; run the same command again",
    "corpus report": "run the same command again",
    "corpus takedown": "what is listed stays listed; the same command completes it",
    "corpus view": "the views that are there are kept; run the same command again",
    "train": "the same command continues from its last checkpoint, or starts again if there is none",
    "train export": "run the same command again",
    "bench": "run the same command again",
    "predict": "the pictures above are done",
    "transfer": "features and outcomes that are finished are kept, and the same command continues where it stopped",
    "transfer compare": "run the same command again",
    "transfer zero-shot": "run the same command again",
    "transfer audit": "run the same command again",
    "transfer vtab": "features and outcomes that are finished are kept, and the same command continues where it stopped",
    "transfer detect": "the same command continues from its last saved state",
    "teach score": "finished parts are kept, and the same command continues where it stopped",
    "teach select": "nothing was changed; run the same command again",
    "teach run": "finished runs and scores are kept, and the same command goes on",
    "study": "finished runs are kept, and the same command continues the others from their last checkpoints",
}
# Functions that return the corpus that they changed, and what is made of it for people afterwards.
INDEX_AFTER = ("ingest_command", "view_command", "select_command")
PAGE_AFTER = ("ingest_command", "takedown_command", "view_command", "select_command")
PAGE_AGAIN = ("view_command", "select_command")  # only where there is one
COMPLETION = ("--tyro-print-completion", "--tyro-write-completion")


def usage() -> str:
    """The help of `tagmill`."""
    words = {
        "ingest": COMMANDS["ingest"].help,
        "corpus": _group_help("corpus"),
        "bench": COMMANDS["bench"].help,
        "train": COMMANDS["train"].help,
        "train export": COMMANDS["train export"].help,
        "predict": COMMANDS["predict"].help,
        **{word: command.help for word, command in COMMANDS.items() if word.startswith(("transfer", "study"))},
        "teach": _group_help("teach"),
        "help": "Show this text, or the options of a command: tagmill help corpus view.",
    }
    return "\n".join(
        [
            *["usage: tagmill COMMAND [OPTIONS]", "", *_table(words), ""],
            "  tagmill COMMAND --help   Show the options of a command.",
            "  tagmill --version        Show the version.",
            "",
            "Completion of commands and flags in the shell, once (also: zsh, fish):",
            "  tagmill --tyro-write-completion bash ~/.local/share/bash-completion/completions/tagmill",
        ]
    )


def group_usage(group: str) -> str:
    """The help of a group of commands, such as `tagmill corpus`."""
    words = {word: command.help for word, command in GROUPS[group][1].items()}
    lines = [f"usage: tagmill {group} COMMAND [OPTIONS]", "", *_table(words), ""]
    return "\n".join([*lines, f"  tagmill {group} COMMAND --help   Show the options of a command."])


def _group_help(group: str) -> str:
    about, commands = GROUPS[group]
    return f"{about}: {', '.join(commands)}."


def _table(words: dict[str, str]) -> list[str]:
    width = max(map(len, words))
    return [f"  {word:{width}}   {text}" for word, text in words.items()]


def find(words: Sequence[str]) -> tuple[Command | None, list[str], str]:
    """The command that the first words name, the words after it, and the usage to show where there is none."""
    if words and words[0] in GROUPS:
        commands = GROUPS[words[0]][1]
        return commands.get(words[1] if len(words) > 1 else ""), list(words[2:]), group_usage(words[0])
    length = 2 if " ".join(words[:2]) in COMMANDS and len(words) > 1 else 1
    return COMMANDS.get(" ".join(words[:length])), list(words[length:]), usage()


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console command. Exit status: 0, 1 for an error, 2 for a command or flag that does not exist, 128
    and the number of the signal that stopped it: 130 from the keyboard, 143 by SIGTERM."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--version"]:
        sys.stdout.write(f"tagmill {version('tagmill')}\n")
        return
    if words and words[0].replace("_", "-") in COMPLETION:
        complete(words)
        return
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    command, rest, text = find(words)
    if command is not None:
        run(" ".join(words[: len(words) - len(rest)]), command, rest)
        return
    unknown = next((word for word in words if word not in (*GROUPS, "-h", "--help")), None)
    if unknown is None:
        sys.stdout.write(text + "\n")
        return
    sys.stderr.write(f"tagmill: no command {unknown!r}\n{text}\n")
    sys.exit(2)


def run(word: str, command: Command, rest: Sequence[str]) -> None:
    """Runs a command, and ends the process with one line for an error that a user can mend, and for a stop."""
    from tagmill.shards.errors import TagmillError
    from tagmill.shards.progress.stops import Terminated, sigterm_stops
    from tagmill.shards.terminal.safe_text import ERROR_CELLS, escape_what_cannot_be_encoded, safe_text

    name = "corpus" if word.startswith("corpus ") else word
    escape_what_cannot_be_encoded(sys.stdout, sys.stderr)
    show_log(rest)
    try:
        with sigterm_stops():
            changed = getattr(importlib.import_module(command.module), command.function)(rest)
            if changed is not None and command.function in INDEX_AFTER:
                make_indexes(name, changed)
            if changed is not None and command.function in PAGE_AFTER:
                make_page(name, changed, again=command.function in PAGE_AGAIN)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tagmill"):
            raise
        sys.stderr.write(f"tagmill {name}: needs {error.name}: pip install 'tagmill[{command.extra}]'\n")
        sys.exit(1)
    except TagmillError as error:
        sys.stderr.write(f"tagmill {name}: {safe_text(str(error), ERROR_CELLS)}\n")
        sys.exit(1)
    except KeyboardInterrupt as stop:
        where = "".join(f" in {note}" for note in getattr(stop, "__notes__", ())[:1])
        sys.stderr.write(f"tagmill {name}: stopped{where}; {AFTER_A_STOP.get(word) or AFTER_A_STOP[name]}\n")
        sys.exit(128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT))
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def make_indexes(word: str, corpus: str) -> None:
    """Writes the search indexes of a corpus that a command has changed. What the command did is done, so that a failure
    here is one line."""
    from tagmill.shards.errors import TagmillError
    from tagmill.shards.terminal.safe_text import safe_text

    try:
        from tagmill.browse.search.view_indexes import index_views

        index_views(corpus)
    except TagmillError as error:
        sys.stderr.write(f"tagmill {word}: {safe_text(f'no search index: {error}', 400)}\n")
    except Exception as error:  # noqa: BLE001
        line = safe_text(f"no search index: {type(error).__name__}: {error}", 400)
        sys.stderr.write(f"tagmill {word}: {line}: tagmill corpus browse --index makes it\n")


def make_page(word: str, corpus: str, *, again: bool = False) -> None:
    """Makes the report page of a corpus that a command has changed; with `again` only where there is one. What the command
    did is done, so that a failure here is one line."""
    from tagmill.shards.terminal.safe_text import safe_text

    try:
        from tagmill.shards.formats.report_pictures import REPORT_PAGE
        from tagmill.shards.manifest import Corpus

        found = Corpus.open(corpus)
        if again and not found.store.exists(REPORT_PAGE):
            return
        from tagmill.browse.report.page import write_report_page

        write_report_page(found)
    except ModuleNotFoundError as error:
        why, remedy = f"needs {error.name}", "pip install 'tagmill[browse]', then tagmill corpus report"
        sys.stderr.write(f"tagmill {word}: no report.html: {why}: {remedy}\n")
    except Exception as error:  # noqa: BLE001
        line = safe_text(f"no report.html: {type(error).__name__}: {error}", 400)
        sys.stderr.write(f"tagmill {word}: {line}: tagmill corpus report makes it\n")


def show_log(words: Sequence[str]) -> None:
    """Prints the log of an ingest on standard error, one plain line each; with --json only JSON is printed there."""
    from tagmill.shards.progress.stderr_handler import StderrHandler
    from tagmill.shards.terminal.safe_text import SafeFormatter

    if not logging.root.handlers:
        handler = StderrHandler()
        handler.setFormatter(SafeFormatter("%(message)s"))
        logging.root.addHandler(handler)
    if "--json" not in words:
        logging.getLogger("tagmill.ingest").setLevel(logging.INFO)


def complete(words: Sequence[str]) -> None:
    """Prints or writes a shell's completion script for all commands; those whose libraries are not installed are left out."""
    import tyro

    def options(command: Command) -> Any:
        try:
            return getattr(importlib.import_module(command.module), command.options).options()
        except ModuleNotFoundError:
            return None

    def one_of(commands: dict[str, Any]) -> Any:
        named = [Annotated[made, tyro.conf.subcommand(word)] for word, made in commands.items() if made is not None]
        return Union[tuple(named)]  # noqa: UP007

    made = {word: options(each) for word, each in COMMANDS.items()}
    for word in ("train", "transfer"):  # commands with flags of their own, and others below them
        others = {name.split()[1]: made.pop(name) for name in [*made] if name.startswith(f"{word} ")}
        others = {name: each for name, each in others.items() if each is not None}
        if made[word] is not None and others:
            below = one_of({**others, "": type(None)})
            made[word] = make_dataclass(word.title(), [("below", below, None)], bases=(made[word],), kw_only=True)
    for group, (_, commands) in GROUPS.items():
        below = {word: options(each) for word, each in commands.items()}
        if any(each is not None for each in below.values()):
            made[group] = make_dataclass(group.title(), [("command", one_of(below))])
    whole = one_of(made)
    tyro.cli(
        whole,
        args=list(words),
        prog="tagmill",
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.HelptextFromCommentsOff),
    )


if __name__ == "__main__":
    main()
