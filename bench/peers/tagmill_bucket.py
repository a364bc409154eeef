"""tagmill: an ingest and an epoch of the loader, which wait at the beginning of each stage, so that its requests can be
counted.

Prints `stage NAME` and waits for a line; at last the number of samples, as JSON. bench/bucket.py starts it.
"""

import argparse
import json
import sys

EPOCH, END = "epoch", "end"


class Handshake:
    """A `Progress` that tells the benchmark of each stage and waits for its answer."""

    def stage(self, name: str, total: int | None = None) -> None:
        del total
        print(f"stage {name}", flush=True)
        sys.stdin.readline()

    def advance(self, n: int, **counts: int) -> None:
        del n, counts

    def fetched(self, traffic: object) -> None:
        del traffic


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("list", help="Parquet with url, tags, caption")
    parser.add_argument("--output", required=True)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--rows-per-part", type=int, required=True)
    parser.add_argument("--parts-per-group", type=int, required=True)
    parser.add_argument("--holdout", type=int, required=True)
    return parser.parse_args()


def main() -> None:
    from tagmill.ingest import IngestConfig, ingest
    from tagmill.pipeline import Loader, LoaderConfig
    from tagmill.shards import Corpus

    given, progress = parsed(), Handshake()
    config = IngestConfig(
        input=(given.list,),
        output=given.output,
        engine=given.engine,
        rows_per_part=given.rows_per_part,
        parts_per_group=given.parts_per_group,
        keep_order=True,  # exactly as many parts as asked for: parts by hash are a power of two
        image_size=64,
        holdout=given.holdout,
        processes=2,
        concurrency=64,
        allow_private=True,
    )
    report = ingest(config, progress)
    corpus = Corpus.open(given.output)
    progress.stage(EPOCH)
    seen = 0
    with Loader(corpus, LoaderConfig(batch_size=256, size=32, epochs=1, backend="cpu", cache=None)) as batches:
        for batch in batches:
            seen += len(batch.keys)
    progress.stage(END)
    print(json.dumps({"rows": report.rows, "samples": sum(report.samples.values()), "delivered": seen}), flush=True)


if __name__ == "__main__":  # its worker processes read this file too
    main()
