"""Do other tools read our corpora? webdataset, Hugging Face `datasets`, mlcroissant and megatron-energon read a corpus and
its exports, each in an environment of its own under build/bench; samples and labels must be those that were written.

python bench/exchange.py [--out FILE.json]
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tagmill.bench import measure
from tagmill.shards.exchange.descriptions import write_descriptions
from tagmill.shards.exchange.export import Wanted, export
from tagmill.shards.manifest import Corpus
from tagmill.shards.reader import ShardReader
from tagmill.shards.view import View

READER = Path(__file__).parent / "peers" / "exchange_reader.py"
TOOLS = (
    "datasets==5.2.0",
    "webdataset==1.0.2",
    "mlcroissant==1.1.1",
    "pillow",
)  # and Pillow, to which datasets decodes
ENERGON = ("megatron-energon==7.4.1",)
PATIENCE = 300.0  # seconds for one tool
Rows = dict[str, list[list[object]]]  # by split: key and what the tool says of each sample


def written(corpus: Corpus) -> Rows:
    """Returns key and label ids of every sample that is not taken down, in order of key."""
    view, found = View.open(corpus, "default"), Rows()
    for number, entry in enumerate(corpus.entries):
        reader, labels = ShardReader.of(corpus, entry), view.labels(number, 0, entry.samples).tolist()
        gone = set(corpus.takedown.ordinals(entry.name).tolist())
        rows = [bytes(record["key"]).hex() for record in reader.index(0, entry.samples)]
        kept: list[list[object]] = [
            [key, [each for each in labels[n] if each >= 0]] for n, key in enumerate(rows) if n not in gone
        ]
        found.setdefault(entry.split, []).extend(kept)
    return {split: sorted(rows, key=str) for split, rows in found.items()}


def together(rows: Rows) -> Rows:
    """Returns the rows of all splits as one."""
    return {"all": sorted((row for found in rows.values() for row in found), key=str)}


def read_by(python: Path, tool: str, folder: Path) -> Rows:
    """Returns what a tool reads in a folder. Raises CalledProcessError with its message."""
    command = [str(python), str(READER), tool, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    found: Rows = json.loads(done.stdout.splitlines()[-1])
    return {split: sorted(rows, key=str) for split, rows in found.items()}


def checks(corpus: Corpus, scratch: Path) -> dict[str, tuple[tuple[str, ...], str, Callable[[], Path], Rows]]:
    """Returns the checks by name: packages, tool, what makes the folder that it reads, and the rows that it must find."""
    rows, root = written(corpus), Path(corpus.store.url)

    def exported(format: str) -> Path:
        export(Wanted(str(root), str(scratch / format), format, record=False))
        return scratch / format

    def described() -> Path:
        write_descriptions(str(root))
        return root

    def copied() -> Path:
        shutil.copytree(root, scratch / "copy")  # energon writes beside the tars
        return scratch / "copy"

    return {
        "webdataset, tars": (TOOLS, "webdataset", lambda: root, rows),
        "datasets, tars": (TOOLS, "datasets-tars", described, rows),
        "datasets, Parquet": (TOOLS, "datasets", lambda: exported("parquet"), rows),
        "datasets, Parquet, streamed": (TOOLS, "datasets-streamed", lambda: scratch / "parquet", rows),
        "webdataset, img2dataset's layout": (TOOLS, "img2dataset", lambda: exported("img2dataset"), rows),
        "mlcroissant": (TOOLS, "mlcroissant", described, together(rows)),
        "energon prepare": (ENERGON, "energon", copied, together(rows)),
    }


def compare(corpus: Corpus) -> dict[str, str]:
    """Returns the outcome of each check: "the same N samples", or what differs or failed."""
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (packages, tool, make, wanted) in checks(corpus, Path(scratch)).items():
            try:
                energon = packages is ENERGON
                python = measure.peer("energon" if energon else "exchange", *packages, over_ours=energon)
                rows = read_by(python, tool, make())
            except subprocess.CalledProcessError as error:
                found[name] = f"failed: {(error.stderr or '').strip()[-300:]}"
                continue
            count = sum(map(len, rows.values()))
            total = sum(map(len, wanted.values()))
            found[name] = f"the same {count} samples" if rows == wanted else f"differs: {count} of {total} samples"
            print(f"{name}: {found[name]}")
    return found


def is_installed() -> bool:
    """Whether both environments are there, so that nothing has to be fetched."""
    return all((measure.ROOT / "build" / "bench" / name / ".ready").exists() for name in ("exchange", "energon"))


def main() -> None:
    """Makes a corpus, compares, and ends with status 1 where a tool reads something else."""
    from tests.pipeline.corpora import make_corpus

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out: Path | None = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        made = make_corpus(Path(folder) / "corpus", (40, 25), holdout=(15,))
        found = compare(made.open())
    if out is not None:
        measure.write("exchange", {name: {"outcome": outcome} for name, outcome in found.items()}, {}, out)
    if wrong := [name for name, outcome in found.items() if not outcome.startswith("the same")]:
        sys.exit("\n".join(f"{name}: {found[name]}" for name in wrong))


if __name__ == "__main__":
    sys.path.insert(0, str(measure.ROOT))  # for the tests' corpora
    main()
