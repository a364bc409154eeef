"""make bench-gpu: compares the loader on a GPU with the GPU's decoder, other loaders, and networks in training.

python -m tagmill.bench.gpu [--device auto|cpu|cuda:N] [--parts limit,loader,...] [--images DIR] [--corpora 256,full]
    [--rounds N] [--minutes M] [--out FILE.json] [--plot FILE.png] [--decoding JSON] [--seconds S] [--sweep] [--quick]

Parts, in the order of importance: limit (the decoder without a loader, and tagmill's graph from memory), windows (DALI's
decoder alone, by window and hardware share), loader (from the disk), peers, cores (with 14, 8 and 4), shared (8 processes on
one GPU), training, trainer (`tagmill train` once in each way), s3, sweep. Every case has its own process; the JSON file is
written after each, and a call that finds it continues where the last one was aborted. docs/reference/gpu-measurements.md
describes a run without a network.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tagmill.bench import corpora, measure, remote
from tagmill.bench.gpu import budgets, cases, machine, pictures, sweep
from tagmill.bench.gpu.results import GRAPH, LOADER, Results, aims, plot, table
from tagmill.bench.workers import UnavailableError, environment
from tagmill.pipeline.decode.choice.device import resolve
from tagmill.pipeline.decode.cpu_affinity import cores_per_rank

PARTS = ("limit", "windows", "loader", "peers", "cores", "shared", "training", "trainer", "s3", "sweep")
SIDES = {"256": corpora.SHORT_SIDE, "markers": corpora.SHORT_SIDE, "full": corpora.AS_IT_IS}
SAMPLES = {"256": 4096, "markers": 4096, "full": 2048}
QUICK_SAMPLES, QUICK_PICTURES = 256, 8


class OutOfTimeError(Exception):
    """No time is left for another case."""


class Bench:
    """One call: its options, its time limit, and the file of its figures."""

    def __init__(self, options: argparse.Namespace, device: str) -> None:
        self.options, self.device = options, device
        size = cases.QUICK if options.quick else cases.Size()
        self.size = size if options.seconds is None else replace(size, seconds=options.seconds)
        self.end = time.monotonic() + 60 * float(options.minutes)
        self.results = Results(options.out, machine.facts(device) | {"device": device})
        count = QUICK_PICTURES if options.quick else None
        found = pictures.found(options.images, count)
        self.folders = {}
        for corpus in options.corpora:
            samples = QUICK_SAMPLES if options.quick else SAMPLES[corpus]
            self.folders[corpus] = corpora.prepare(found, samples, SIDES[corpus], markers=corpus == "markers")

    def left(self) -> float:
        """Remaining seconds."""
        return self.end - time.monotonic()

    def run(self, case: cases.Case, extra: dict[str, str] | None = None) -> None:
        """Runs a case, unless it has as many runs as requested. Raises OutOfTimeError."""
        entry = self.results.case(case.part, case.corpus, case.name)
        if len(entry["runs"]) >= self.options.rounds:
            return
        if self.left() <= 0:
            self.results.add(entry, None, "no time was left")
            raise OutOfTimeError
        try:
            self.results.add(entry, budgets.run_together(case, extra or {}))
            print(
                f"  {case.corpus}: {case.name}: {entry['runs'][-1]['images_per_second']:,.0f} images/s", file=sys.stderr
            )
        except UnavailableError as error:
            self.results.add(entry, None, str(error))
            print(f"  {case.corpus}: {case.name}: {error}", file=sys.stderr)

    def known(self, corpus: str) -> list[cases.Case]:
        """Measures decoder, loader and peers on a corpus."""
        options = self.options
        told = (corpus, self.folders[corpus], self.device, options.threads, self.size, json.dumps(options.decoding))
        found = cases.peers(*told) + budgets.windows(*told[:-1]) + budgets.with_cores(*told) + budgets.shared(*told)
        return found + cases.training(*told, compiled=options.compile) + cases.ways(*told[:-1])

    def graph(self, corpus: str) -> None:
        """Measures the graph from memory, with the options of `--decoding`."""
        entry = self.results.case("limit", corpus, GRAPH)
        if len(entry["runs"]) < self.options.rounds:
            setting = (
                sweep.DEFAULT | {"threads": self.options.threads, "batch": self.size.batch} | self.options.decoding
            )
            self._settings(corpus, [setting], lambda _: entry)

    def sweep(self, corpus: str) -> None:
        """Measures every choice, once."""
        chosen = sweep.settings(self.device, self.options.threads, self.options.quick)
        entries = {
            json.dumps(each): self.results.case("sweep", corpus, sweep.title(each, chosen[0])) for each in chosen
        }
        waiting = [each for each in chosen if not entries[json.dumps(each)]["runs"]]
        self._settings(corpus, waiting, lambda setting: entries[json.dumps(setting)])

    def _settings(
        self, corpus: str, settings: list[dict[str, Any]], entry_of: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        if self.left() <= 0:
            raise OutOfTimeError
        folder = str(self.folders[corpus] / "corpus")
        told = (folder, self.device, settings, self.size.seconds, self.size.warm, self.left)
        for setting, figures in sweep.measured(*told):
            entry = entry_of(setting)
            reason = figures.pop("reason", None)
            self.results.add(entry, figures or None, reason)
            rate = reason or f"{figures['images_per_second']:,.0f} images/s"
            print(f"  {corpus}: {entry['name']}: {rate}", file=sys.stderr)

    def from_s3(self) -> None:
        """Measures the loader from Ceph's gateway on loopback; without one, notes the reason."""
        corpus = self.options.corpora[0]
        like = next(case for case in self.known(corpus) if case.name == LOADER)
        case = cases.from_s3(corpus, f"s3://{remote.BUCKET}/corpus", like)
        entry = self.results.case(case.part, case.corpus, case.name)
        if len(entry["runs"]) >= self.options.rounds:
            return
        try:
            with remote.service([self.folders[corpus] / "corpus"]) as store:
                for _ in range(self.options.rounds):
                    self.run(case, {**store.environment, "AWS_ENDPOINT_URL": store.endpoint})
        except (SystemExit, ImportError) as error:
            self.results.add(entry, None, str(error))

    def all(self) -> None:
        """Runs round by round, so that an aborted call has one run of everything before a second of anything."""
        parts = self.options.parts
        for number in range(self.options.rounds):
            print(f"round {number + 1} of {self.options.rounds}", file=sys.stderr)
            for corpus in self.options.corpora:
                if "limit" in parts:
                    self.graph(corpus)
                for case in self.known(corpus):
                    entry = self.results.case(case.part, corpus, case.name) if case.part in parts else None
                    again = number == 0 or (
                        entry is not None and entry["runs"] and case.part not in ("training", "trainer")
                    )  # it has its own rounds
                    if entry is not None and again and len(entry["runs"]) <= number:
                        self.run(case)
        if "s3" in parts:
            self.from_s3()
        for corpus in self.options.corpora if "sweep" in parts else ():
            self.sweep(corpus)


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Runs the command line."""
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--device", default="auto", help="auto: the GPU if there is one")
    parser.add_argument("--parts", default=",".join(PARTS[:-1]), help=f"of {','.join(PARTS)}")
    parser.add_argument(
        "--corpora", default="256,markers,full", help="short side 256, with restart markers, images as they are"
    )
    parser.add_argument("--threads", type=int, default=cores_per_rank(), help="of each case: the cores by default")
    parser.add_argument(
        "--decoding", type=json.loads, default={}, help="tagmill's choices, as JSON: docs/how-to/gpu.md"
    )
    parser.add_argument("--seconds", type=float, help="of a setting of the graph from memory")
    parser.add_argument("--minutes", type=float, default=600.0, help="after which no case starts")
    parser.add_argument("--compile", action="store_true", help="networks by torch.compile, which need more images/s")
    parser.add_argument("--sweep", action="store_true", help="the choices too: the same as adding the part")
    parser.add_argument("--plot", type=Path, help="draw the figures here (.png or .svg)")
    options = parser.parse_args(arguments)
    options.parts = [*options.parts.split(","), *(["sweep"] if options.sweep else [])]
    options.corpora = options.corpora.split(",")
    for given, known in ((options.parts, PARTS), (options.corpora, tuple(SIDES))):
        if unknown := sorted(set(given) - set(known)):
            parser.error(f"{', '.join(unknown)}: there are {', '.join(known)}")
    options.rounds = 1 if options.quick else options.rounds
    if options.out is None:
        place = "build/bench" if options.quick else "bench/results"
        options.out = measure.ROOT / place / f"gpu-{time.strftime('%Y-%m-%d')}.json"
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parsed(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a worker is ended with us
    os.environ["PYTHONPATH"] = environment()["PYTHONPATH"]
    device = resolve(options.device)
    for line in machine.cannot(device):
        print(line)
    bench = Bench(options, device)
    try:
        bench.all()
    except OutOfTimeError:
        print(f"no time is left: the same command continues {options.out}")
    found = bench.results.of(*PARTS)
    print(f"\nuint8 pictures of 224 pixels on {device}; {options.out}")
    print(table([case for case in found if case["part"] != "sweep"]))
    if swept := [case for case in found if case["part"] == "sweep"]:
        print("\nThe graph from memory, by its difference from the default:\n" + table(swept))
    print("\n" + "\n".join(aims(found)))
    if options.plot and not plot([case for case in found if case["part"] != "sweep"], options.plot):
        print("no plot: matplotlib is not installed, or nothing was measured")


if __name__ == "__main__":
    main()
