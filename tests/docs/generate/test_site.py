"""The folder that the site is built from, and the site."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tagmill.docs.generate.site import FRONT_DOORS, stage
from tests.markdown import ROOT, Page, pages


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "build/pages"
    folder.mkdir(parents=True)
    (folder / "left.md").write_text("of an earlier build")
    stage(ROOT, folder)
    return folder


def test_all_pages_are_there_and_nothing_else(staged: Path) -> None:
    made = {"docs/reference/commands.md", *(f"docs/reference/api/{name}.md" for name in FRONT_DOORS)}
    expected = {"index.md" if page.name == "README.md" else page.name for page in pages()} | made
    assert {str(path.relative_to(staged)) for path in staged.rglob("*.md")} == expected


def test_links_resolve_there_too(staged: Path) -> None:
    for path in staged.rglob("*.md"):
        for link in Page(path).links:
            if "://" not in link and not link.startswith("#"):
                assert (path.parent / link.partition("#")[0]).exists(), f"{path} links to {link}"


def test_every_page_is_in_the_navigation(staged: Path) -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    listed = re.findall(r"[\w/-]+\.md", navigation)
    assert sorted(listed) == sorted(str(path.relative_to(staged)) for path in staged.rglob("*.md"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("zensical") is None, reason="zensical is not installed")
def test_the_site_builds_without_warnings_and_asks_no_other_host(staged: Path) -> None:
    root = staged.parents[1]
    shutil.copy(ROOT / "mkdocs.yml", root)
    (root / "python").symlink_to(ROOT / "python")
    program = Path(sys.executable).with_name("zensical")
    done = subprocess.run([program, "build", "--strict"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = re.compile(
        r'<(?:script|img|iframe)[^>]* src="(https?:[^"]*)"|<link[^>]* rel="stylesheet"[^>]* href="(https?:[^"]*)"'
    )
    built = sorted((root / "build/docs").rglob("*.html"))
    assert len(built) > len(pages())
    assert not [path for path in built if loaded.search(path.read_text())]
