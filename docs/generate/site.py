"""The folder that the site is built from: pages as in the repository, so that links hold, and those made at build time."""

import re
import shutil
from pathlib import Path

from tagmill.docs.generate.commands import PAGE as COMMANDS_PAGE
from tagmill.docs.generate.commands import commands_page

TOP = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
FRONT_DOORS = ("ingest", "pipeline", "shards")
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
_API = """# tagmill.{name}

::: tagmill.{name}
    options:
      heading_level: 2
"""


def stage(root: Path, folder: Path) -> None:
    """Fills `folder`, which is emptied first, with all pages below the repository `root`.

    The README becomes `index.md`. Files that pages link to, such as bench results, are copied; the code is not a part of
    the site, so pages name it without a link.
    """
    shutil.rmtree(folder, ignore_errors=True)
    pages = [*(root / name for name in TOP), *sorted((root / "docs").rglob("*.md"))]
    for page in pages:
        text = page.read_text()
        for target, _ in _LINK.findall(text):
            if "://" not in target and not target.endswith(".md"):
                _copy(root, folder, (page.parent / target).resolve())
        _write(folder / _name(page.relative_to(root)), _LINK.sub(_to_index, text))
    _write(folder / COMMANDS_PAGE, commands_page())
    for name in FRONT_DOORS:
        _write(folder / f"docs/reference/api/{name}.md", _API.format(name=name))


def _name(page: Path) -> Path:
    return Path("index.md") if page == Path("README.md") else page


def _to_index(link: re.Match[str]) -> str:
    target = re.sub(r"(^|/)README\.md$", r"\1index.md", link[1])
    return f"]({target}{link[2] or ''})"


def _copy(root: Path, folder: Path, path: Path) -> None:
    copied = folder / path.relative_to(root.resolve())
    copied.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copied)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
