"""`README.md` of a corpus: a dataset card as the Hugging Face hub shows it, in numbers."""

from collections.abc import Sequence

from tagmill.shards.exchange.croissant import LICENCE, description, patterns
from tagmill.shards.exchange.facts import CorpusFacts
from tagmill.shards.exchange.front_matter import front_matter, is_plain

CARD = "README.md"
MARK = "<!-- Written by tagmill at each commit. Without this line the file is yours and stays as it is. -->"
LONGEST_NAME = 200  # characters of a name
_SIZES = ((1000, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_LARGE = (
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)


def card(facts: CorpusFacts) -> bytes:
    """Returns the card: a function of `corpus.json`, what it names, and the rejects of the last run in numbers."""
    parts = [_front_matter(facts), MARK, f"# {plain(facts.corpus.file.name)}", description(facts), *_tables(facts)]
    return ("\n\n".join(parts) + "\n").encode()


def _front_matter(facts: CorpusFacts) -> str:
    files = [{"split": split, "path": f"shards/{pattern}.tar"} for split, pattern in patterns(facts).items()]
    samples = sum(facts.samples.values())
    return front_matter(
        {
            "pretty_name": facts.corpus.file.name,
            "license": "unknown",
            "task_categories": ["image-classification"],
            "tags": ["webdataset", "hashtags", "croissant"],
            "size_categories": [next((name for most, name in (*_SIZES, *_LARGE) if samples < most), "n>1T")],
            "configs": [{"config_name": "default", "data_files": files}],
        }
    )


def _tables(facts: CorpusFacts) -> list[str]:
    file = facts.corpus.file
    splits = [(split, f"{facts.shards.get(split, 0):,}", f"{count:,}") for split, count in facts.samples.items()]
    views = [
        (name, f"{view.file.totals.get('labels', 0):,}", f"{view.file.totals.get('selected', 0):,}", view.folder)
        for name, view in facts.views.items()
    ]
    runs = [
        (f"{number}", f"{run.get('rows', 0):,}", f"`{str(run.get('config_sha256', 'unknown'))[:12]}`")
        for number, run in enumerate(file.lineage)
    ]
    rejects = [(f"`{reason}`", f"{count:,}") for reason, count in facts.rejects.items()]
    found = [
        "## Samples",
        table(("split", "shards", "samples"), splits),
        f"{facts.bytes / 1e9:,.3f} GB of tars. Taken down: {facts.taken_down:,} samples, which must not be used: tagmill skips "
        "them, other readers must leave out the samples of `manifests/takedown-*.parquet`, or read an export.",
        f"## Licence\n\n{LICENCE}",
        "## Views",
        table(("view", "labels", "samples in an epoch's first pass", "folder"), views)
        if views
        else "No view, so no labels.",
        "## Rejects of the last run",
        table(("reason", "rows"), rejects) if rejects else "None, or not known.",
        f"## Provenance\n\nWritten by tagmill {plain(file.code_version) or '(unknown version)'}; shard table sha256 "
        f"`{file.manifest.sha256}`.",
    ]
    return [*found, table(("run", "rows", "config sha256"), runs)] if runs else found


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Returns a table in Markdown; its texts must be plain."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Returns text that is inert in Markdown and HTML, on one line, of bounded length: controls and marks of direction become
    escapes, characters with a meaning are escaped."""
    found = []
    for character in text[:LONGEST_NAME]:
        if not is_plain(character):
            found.append(f"\\\\u{ord(character):04x}")
        elif character in "<>&":
            found.append({"<": "&lt;", ">": "&gt;", "&": "&amp;"}[character])
        else:
            found.append(f"\\{character}" if character in r"\`*_{}[]()#+-.!|~$" + '"' + "'" else character)
    return "".join(found) + ("..." if len(text) > LONGEST_NAME else "")
