"""Markdown pages as the tests of the documentation see them: headings, links, code blocks and the comment above each."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_COMMENT = re.compile(r"^<!-- (.*) -->\n\Z", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block; `comment` is the text of an HTML comment on the line above it."""

    language: str
    text: str
    comment: str
    line: int

    @property
    def why_not_run(self) -> str | None:
        """The reason in `<!-- not run: REASON -->`, None where there is no such comment."""
        return self.comment.removeprefix("not run: ") if self.comment.startswith("not run: ") else None

    @property
    def slow(self) -> bool:
        return self.comment == "slow"

    @property
    def commands(self) -> list[str]:
        """The command lines of a shell block, without prompts, comments and continuations."""
        text = self.text.replace("\\\n", " ")
        if self.language == "console":
            text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
        lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
        return [line for line in lines if line]


@dataclass(frozen=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The page without its code blocks and comments."""
        return re.sub(r"<!--.*?-->", "", _FENCE.sub("", self.text), flags=re.DOTALL)

    @cached_property
    def blocks(self) -> list[Block]:
        found = []
        for match in _FENCE.finditer(self.text):
            above = _COMMENT.search(self.text[: match.start()])
            line = self.text.count("\n", 0, match.start()) + 1
            found.append(Block(match["language"], match["text"], above[1] if above else "", line))
        return found

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @cached_property
    def anchors(self) -> set[str]:
        """Anchors of the headings, as GitHub and Python-Markdown make them."""
        plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in _HEADING.findall(self.prose))
        return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in plain}


def pages() -> list[Page]:
    """All pages of the repository."""
    return [Page(path) for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]]
