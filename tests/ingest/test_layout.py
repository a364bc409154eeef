"""Names below `parts/` are built in one file, and a name for many partitions keeps them apart and in order."""

import ast
from pathlib import Path

from tagmill.ingest import layout

INGEST = Path(__file__).resolve().parents[2] / "ingest"
NUMBERED = (
    layout.rows_file,
    layout.known_file,
    layout.origins_file,
    layout.hosts_file,
    layout.answers_file,
    layout.asked_file,
    layout.rules_file,
    layout.done_file,
    layout.selection_file,
)


def literals(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_no_other_file_of_ingest_builds_a_name_below_parts() -> None:
    for path in INGEST.rglob("*.py"):
        if path.name != "layout.py":
            built = {text for text in literals(path) if text.startswith("parts/") and " " not in text}
            assert not built, f"{path} builds {built}: add the name to ingest/layout.py"


def test_names_are_different_and_sort_by_number() -> None:
    constants = {value for name, value in vars(layout).items() if name.isupper() and isinstance(value, str)}
    names = [[name(number) for number in (0, 2, 11, 999_999)] for name in NUMBERED]
    assert all(sorted(each) == each for each in names)
    flat = [*constants, *(name for each in names for name in each), layout.packed_file("holdout")]
    assert len(set(flat)) == len(flat)
    assert all(name.startswith("parts/") for name in flat)


def test_only_rows_files_are_taken_for_rows_files() -> None:
    assert layout.ROWS_PATTERN.fullmatch(layout.rows_file(12))
    assert not layout.ROWS_PATTERN.fullmatch(layout.known_file(12))
