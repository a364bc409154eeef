"""Which code a study was made with: a digest of the source that decides what a run measures."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

DECIDING = (
    "shards",
    "ingest",
    "pipeline",
    "training",
    "train.py",
    "transfer",
    "studies/plan",
    "studies/kinds",
    "studies/runs",
    "studies/scores",
    "studies/selection",
    "studies/chain",
)
"""Below the package; pages and verdicts are made again from the same results."""
SUFFIXES = (".py", ".sql")


@cache
def code_version() -> str:
    """Returns the version of the package and 16 hex digits of the digest of its deciding source, by name and content."""
    package = Path(__file__).resolve().parent.parent.parent
    return f"{version('tagmill')} {source_digest(package)[:16]}"


def source_digest(package: Path) -> str:
    """Returns the SHA-256 of the source files below a folder that decide results, 64 hex digits."""
    found = hashlib.sha256()
    for name in DECIDING:
        place = package / name
        inside = (path for path in place.rglob("*") if path.suffix in SUFFIXES)
        for path in [place] if place.is_file() else sorted(inside):
            data = path.read_bytes()
            found.update(f"{path.relative_to(package).as_posix()} {len(data)}\n".encode())
            found.update(data)
    return found.hexdigest()
