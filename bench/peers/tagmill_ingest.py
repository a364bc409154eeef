"""tagmill: the command as its users give it, from a list to a committed corpus with its view.

Its parts are so small that both processes have work until the end; the default of 10,000 rows is for longer lists. The
same pixels are under many URLs here, so near duplicates are kept: img2dataset does not look for them.
"""

if __name__ == "__main__":  # its worker processes read this file too, and import as little as with the command
    from tagmill import cli
    from tagmill.bench.peers.whole import options, report
    from tagmill.shards.manifest import Corpus

    given = options()
    flags = {"--input": given.list, "--output": given.output, "--processes": given.processes, "--concurrency": 64}
    flags |= {"--rows-per-part": 1000, "--image-size": 256, "--resize": "keep_ratio", "--quality": 90}
    flags |= {"--parts-per-group": 2, "--near-threshold": -1}
    words = [str(word) for flag in flags.items() for word in flag]
    cli.main(["ingest", *words, "--allow-private", "--only-if-bigger"])
    corpus = Corpus.open(given.output)
    tars = sum(entry.bytes for entry in corpus.entries)
    assert corpus.file.views, "a corpus without its view"
    report(sum(entry.samples for entry in corpus.entries), tars, ("pillow-simd", "aiohttp", "pyarrow"))
