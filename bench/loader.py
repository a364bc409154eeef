"""Compares the loader with other loaders: same images, same output, same threads, in turn, each in its own environment.

python bench/loader.py [--images DIR] [--corpus markers|plain] [--rounds N] [--quick] [--store s3] [--out FILE.json]
                       [--plot FILE.png]

A sample is 224 x 224 pixels of a JPEG with short side 256: random resized crop, flip, batches of 256, as normalised
float32 and as uint8. Figures: images/s, processor seconds per 1,000 images, peak memory of all its processes, and
seconds to the first batch. 'decode only' is libjpeg without a loader on the same windows, without resize: the limit of
decoding whole images; beside it DALI's CPU decoder.

All loaders read the same JPEGs: with restart markers, or with `--corpus plain` without. 'decode only' has them without in
any case: it decodes as it would if tagmill cut no crops from their bytes.

Peers based on DataLoader decode with torchvision, which is faster; ImageFolder also with Pillow, its default, and with
`--pillow` the others too. `--store s3` measures tagmill from a Ceph gateway on loopback behind a slow and faulty proxy,
and from the local disk. SPDL needs FFmpeg's shared libraries (Debian: apt-get install ffmpeg); a peer that cannot run
is in the table with its reason.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from tagmill.bench import corpora, figures, measure, remote
from tagmill.bench.workers import LIMITS, Case, Peer, UnavailableError, measured, peers, prepare

OUTPUTS = ("float32", "uint8")
BATCHES = 12  # minimum of a run
SAMPLES, BATCH = 4096, 256  # whole blocks of tagmill's order: a larger corpus has a negligible tail too
# For tagmill, so that 1,024 samples are open, as many as webdataset's and DALI's readers shuffle. By default it opens
# 32,768: more than the images here, so that the benchmark would measure reading ahead.
STREAMS = 8


def sizes(options: argparse.Namespace) -> list[str]:
    """Returns the flags of every worker."""
    quick = {"batch": 64, "warm": 2, "batches": 4, "streams": 2}
    whole = {"batch": BATCH, "warm": 8, "batches": BATCHES, "seconds": options.seconds, "streams": STREAMS}
    flags = {"threads": options.threads, **(quick if options.quick else whole)}
    return [text for name, value in flags.items() for text in (f"--{name}", str(value))]


def local(options: argparse.Namespace, folder: Path, plain: Path) -> list[Case]:
    """Returns every peer with every output, in turn, from the local disk; `plain` has the images without markers."""
    chosen = [peer for peer in peers(options.backend) if wanted(peer, options)]
    outputs = OUTPUTS[:1] if options.quick else OUTPUTS
    cases = [Case(peer, output) for output in outputs for peer in chosen]
    data: dict[str, str] = {}
    for peer in chosen:
        try:
            data[peer.name] = prepare(peer, plain if peer.name in LIMITS else folder)
        except UnavailableError as error:
            for case in cases:
                case.reason = str(error) if case.peer == peer else case.reason
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        for case in cases:
            measured(case, data.get(case.peer.name, ""), sizes(options))
        keep(cases, options)
    return cases


def keep(cases: list[Case], options: argparse.Namespace) -> None:
    """Writes the measurements so far, after every round, so that an aborted run keeps its results."""
    if options.out is not None:
        name = "loader" if options.store == "local" else f"loader-{options.store}"
        measure.write(name, figures.as_json(cases), figures.ratios(cases), options.out)
    if options.plot is not None:
        figures.plot(cases, options.plot)


def wanted(peer: Peer, options: argparse.Namespace) -> bool:
    if options.only:
        return any(part.lower() in peer.name.lower() for part in options.only)
    return options.pillow or "(Pillow)" not in peer.name or (peer.name.startswith("ImageFolder") and not options.quick)


def main() -> None:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="threads or worker processes of each loader"
    )
    parser.add_argument(
        "--corpus", choices=("markers", "plain"), default="markers", help="JPEGs with restart markers, or without"
    )
    parser.add_argument("--backend", default="auto", help="tagmill's")
    parser.add_argument("--seconds", type=float, default=5.0, help=f"how long a run is measured, and {BATCHES} batches")
    parser.add_argument(
        "--pillow", action="store_true", help="every DataLoader peer with Pillow too, not ImageFolder alone"
    )
    parser.add_argument("--only", action="append", help="measure only peers whose name contains this; may be repeated")
    parser.add_argument("--store", choices=("local", "s3"), default="local", help="s3: our loader, disk against S3")
    parser.add_argument("--plot", type=Path, help="draw the figures here (.png or .svg)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a worker is ended with us
    options.rounds = min(options.rounds, 2) if options.quick else options.rounds
    pictures = measure.pictures(options.images, 32 if options.quick else None)
    samples = 512 if options.quick else SAMPLES
    folders = {
        kind: corpora.prepare(pictures, samples, markers=kind == "markers") for kind in {options.corpus, "plain"}
    }
    folder, far = folders[options.corpus], options.store == "s3"
    cases = remote.cases(options, folder, sizes(options)) if far else local(options, folder, folders["plain"])
    figures.remote_table(cases) if far else figures.table(cases)
    keep(cases, options)


if __name__ == "__main__":
    main()
