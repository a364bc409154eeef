"""tagmill: the command as its users give it, from a list to a committed corpus with its view."""

import json
from pathlib import Path

from tagmill import cli
from tagmill.bench.peers.whole import options, report
from tagmill.shards.manifest import Corpus

if __name__ == "__main__":
    given = options()
    flags = {"--input": given.list, "--output": given.output, "--processes": given.processes, "--concurrency": 64}
    flags |= {"--image-size": 256, "--resize": "keep_ratio", "--quality": 90}
    words = [str(word) for flag in flags.items() for word in flag]
    cli.main(["ingest", *words, "--allow-private", "--only-if-bigger"])
    corpus = Corpus.open(given.output)
    tars = sum(Path(given.output, f"shards/{entry.name}.tar").stat().st_size for entry in corpus.entries)
    assert json.loads(Path(given.output, "corpus.json").read_text())["views"], "a corpus without its view"
    report(sum(entry.samples for entry in corpus.entries), tars, ("pillow-simd", "aiohttp", "pyarrow"))
