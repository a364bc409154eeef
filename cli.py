"""The `tagmill` command: finds the room that a word names, and turns a broken promise into one line and status 1."""

import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tagmill.shards.errors import TagmillError

# Rooms are imported when they are called: `tagmill corpus info` must not wait for torch.
COMMANDS = {
    "ingest": "turn lists of (image URL, hashtags) into a corpus of tar shards",
    "corpus": "look into a corpus and label it: info, vocabulary, under, lint, takedown, plan, view",
    "train": "train a model on a corpus",
}
AFTER_A_STOP = {
    "ingest": "the same command goes on where it was",
    "corpus": "run the same command again",
    "train": "the same command goes on from its last checkpoint, or begins again where it has written none",
}


def ingest(arguments: Sequence[str]) -> None:
    import tyro
    from rich.console import Console

    from tagmill.ingest import IngestConfig
    from tagmill.ingest import ingest as run
    from tagmill.ingest.progress.progress import JsonProgress, Progress, RichProgress
    from tagmill.ingest.workers.process_setup import leave_out_pandas

    @dataclass(frozen=True)
    class Told:
        config: tyro.conf.OmitArgPrefixes[IngestConfig]
        json: tyro.conf.FlagCreatePairsOff[bool] = False
        """For machines: progress as JSON lines on standard error, the report on standard output."""
        prometheus: Path | None = None
        """A file for node_exporter's textfile collector (NAME.prom), rewritten every few seconds."""

    told = tyro.cli(Told, args=list(arguments), prog="tagmill ingest", description="From lists of URLs to a corpus.")
    with ExitStack() as stack:
        if told.config.engine != "spark":
            stack.callback(leave_out_pandas())
        progress: Progress = stack.enter_context(JsonProgress()) if told.json else stack.enter_context(RichProgress())
        if told.prometheus is not None:
            from tagmill.ingest.progress.prometheus import PrometheusProgress

            metrics = PrometheusProgress(progress, told.prometheus, told.config.name)
            progress = stack.enter_context(metrics)
        report = run(told.config, progress)
    if told.json:
        sys.stdout.write(report.json().decode())
    else:
        Console().print(report.table())


# Words of `tagmill corpus` that need more than the floor knows: the loader, or the rules of labels and URLs.
ABOVE_THE_FLOOR = {
    "plan": ("tagmill.pipeline.forecast.plan_command", "plan_command"),
    "view": ("tagmill.ingest.views.view_command", "view_command"),
    "under": ("tagmill.ingest.labels.under_command", "under_command"),
    "takedown": ("tagmill.ingest.takedown.takedown_command", "takedown_command"),
}


def corpus(arguments: Sequence[str]) -> None:
    word = arguments[0] if arguments else ""
    if word in ABOVE_THE_FLOOR:
        module, name = ABOVE_THE_FLOOR[word]
        getattr(importlib.import_module(module), name)(arguments[1:])
        return
    from tagmill.shards.corpus_command import corpus_command

    corpus_command(arguments)


def train(arguments: Sequence[str]) -> None:
    from tagmill.train import main as command

    command(arguments)


def show_log(words: Sequence[str]) -> None:
    """Lets ingest say on standard error what it read, a plain line each; a machine that reads there wants JSON alone."""
    logging.basicConfig(format="%(message)s")
    if "--json" not in words:
        logging.getLogger("tagmill.ingest").setLevel(logging.INFO)


def usage() -> str:
    lines = [f"  {name:8} {what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: tagmill COMMAND [--help]", "", *lines, "", "  --version"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console command. Exit status: 0, 1 for a broken promise, 2 for a command that does not exist."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    commands: dict[str, Callable[[Sequence[str]], None]] = {"ingest": ingest, "corpus": corpus, "train": train}
    if words and words[0] == "--version":
        sys.stdout.write(f"tagmill {version('tagmill')}\n")
        return
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(usage() + "\n")
        return
    if words[0] not in commands:
        sys.stderr.write(f"tagmill: no command {words[0]!r}\n{usage()}\n")
        sys.exit(2)
    show_log(words)
    try:
        commands[words[0]](words[1:])
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tagmill"):
            raise
        sys.stderr.write(f"tagmill {words[0]}: needs {error.name}: pip install 'tagmill[{words[0]}]'\n")
        sys.exit(1)
    except TagmillError as error:
        sys.stderr.write(f"tagmill {words[0]}: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write(f"tagmill {words[0]}: stopped; {AFTER_A_STOP[words[0]]}\n")
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
