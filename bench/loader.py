"""Compares the loader with other loaders: same images, same output, same threads, in turn, each in its own environment.

python bench/loader.py [--images DIR] [--corpus KIND] [--rounds N] [--quick] [--store s3] [--out FILE.json]
                       [--plot FILE.png]

A sample is 224 x 224 pixels of a JPEG with short side 256: random resized crop, flip, batches of 256, as normalised
float32 and as uint8. Figures: images/s, processor seconds per 1,000 images, peak memory of all its processes, and
seconds to the first batch. 'decode only' is libjpeg without a loader on the same windows, without resize: the limit of
decoding whole images; beside it DALI's CPU decoder.

All loaders read the same images. `--corpus markers` gives tagmill JPEGs with restart markers, as ingest stores them, `plain`
without. All others have them without in any case, because libjpeg is slower with markers and only tagmill gains by them.
'decode only' decodes as it would if tagmill cut no crops from their bytes, with libjpeg's own Huffman decoder. `as-is` has the
images' own bytes; `1024` and `4000` mosaics of them with this short side, because enlarged photographs have too little
detail. There are fewer of those, in smaller batches, and every reader shuffles fewer of the largest.

Peers based on DataLoader decode with torchvision; ImageFolder also with torchcodec, its successor, with Pillow, its
default, and with `--pillow` the others too. `--store s3` measures tagmill from a Ceph gateway on loopback behind a slow
and faulty proxy, and from the local disk. SPDL needs FFmpeg's shared libraries (Debian: apt-get install ffmpeg); a peer
that cannot run is in the table with its reason.
"""

import argparse
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from tagmill.bench import corpora, figures, measure, mosaics, remote
from tagmill.bench.workers import US, Case, Peer, UnavailableError, measured, peers, prepare

OUTPUTS = ("float32", "uint8")
BATCHES = 12  # minimum of a run
SAMPLES, BATCH = 4096, 256  # whole blocks of tagmill's order: a larger corpus has a negligible tail too
# For tagmill, so that 1,024 samples are open, as many as webdataset's and DALI's readers shuffle. By default it opens
# 32,768: more than the images here, so that the benchmark would measure reading ahead.
STREAMS = 8


@dataclass(frozen=True)
class Corpus:
    """What is measured, and how much of it fits into time, disk and memory."""

    samples: int = SAMPLES
    batch: int = BATCH
    streams: int = STREAMS
    shuffle: int | None = None  # samples that another reader holds; None: its default
    markers: bool = False
    short_side: int = corpora.SHORT_SIDE
    mosaics: int = 0  # different ones of this short side


CORPORA = {
    "markers": Corpus(markers=True),
    "plain": Corpus(),
    "as-is": Corpus(short_side=corpora.AS_IT_IS),
    "1024": Corpus(samples=1024, batch=64, short_side=1024, mosaics=48),
    "4000": Corpus(samples=128, batch=16, streams=1, shuffle=128, short_side=4000, mosaics=8),
}


def prepared(pictures: list[Path], corpus: Corpus, quick: bool, markers: bool) -> Path:
    """Makes the images and the corpus; returns their folder."""
    samples = min(corpus.samples, 512) if quick else corpus.samples
    if corpus.mosaics:
        large = mosaics.prepare(pictures, corpus.short_side, min(corpus.mosaics, 2) if quick else corpus.mosaics)
        return corpora.prepare(large, samples, corpora.AS_IT_IS)
    return corpora.prepare(pictures, samples, corpus.short_side, markers)


def sizes(options: argparse.Namespace) -> list[str]:
    """Returns the flags of every worker."""
    corpus = CORPORA[options.corpus]
    quick = {"batch": min(64, corpus.batch), "warm": 2, "batches": 4, "streams": min(2, corpus.streams)}
    whole = {"batch": corpus.batch, "warm": 8, "batches": BATCHES, "streams": corpus.streams}
    flags = {"threads": options.threads, **(quick if options.quick else whole | {"seconds": options.seconds})}
    if corpus.shuffle is not None:
        flags["shuffle"] = corpus.shuffle
    return [text for name, value in flags.items() for text in (f"--{name}", str(value))]


def local(options: argparse.Namespace, folder: Path, plain: Path) -> list[Case]:
    """Returns every peer with every output, in turn, from the local disk; `plain` has the images without markers,
    which all but tagmill read."""
    chosen = [peer for peer in peers(options.backend) if wanted(peer, options)]
    outputs = OUTPUTS[:1] if options.quick else OUTPUTS
    cases = [Case(peer, output) for output in outputs for peer in chosen]
    data: dict[str, str] = {}
    for peer in chosen:
        try:
            data[peer.name] = prepare(peer, folder if peer.name == US else plain)
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
        kind = None if options.corpus in ("markers", "plain") else options.corpus
        name = "-".join(filter(None, ("loader", options.store if options.store != "local" else None, kind)))
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
        "--corpus",
        choices=tuple(CORPORA),
        default="markers",
        help="JPEGs with restart markers, or without; images as they are; mosaics with this short side",
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
    corpus, far = CORPORA[options.corpus], options.store == "s3"
    plain, folder = (prepared(pictures, corpus, options.quick, markers) for markers in (False, corpus.markers))
    if corpus.mosaics:
        print(f"mosaics of photographs in their own size, {corpus.short_side} pixels high", file=sys.stderr)
    cases = remote.cases(options, folder, sizes(options)) if far else local(options, folder, plain)
    figures.remote_table(cases) if far else figures.table(cases)
    keep(cases, options)


if __name__ == "__main__":
    main()
