"""The addresses of pages: every part of them is encoded, whatever the corpus contains."""

from urllib.parse import quote, urlencode

from tagmill.browse.search.query import MAX_TEXT


def find_link(by: str, text: str = "", view: str = "", position: str = "") -> str:
    """Returns the address of a search; empty for text that is too long to be searched."""
    if len(text) > MAX_TEXT:
        return ""
    return "/find" + _query({"by": by, "q": text, "view": view, "from": position})


def sample_link(shard: str, ordinal: int) -> str:
    """Returns the address of a sample's page."""
    return f"/sample/{_part(shard)}/{ordinal}"


def picture_link(shard: str, ordinal: int) -> str:
    """Returns the address of a sample's image."""
    return f"/picture/{_part(shard)}/{ordinal}"


def synset_link(synset: str, view: str) -> str:
    """Returns the address of a synset's page."""
    return f"/synset/{_part(synset)}" + _query({"view": view})


def labels_link(view: str, words: str = "", offset: int = 0) -> str:
    """Returns the address of a part of a view's list of labels."""
    return "/labels" + _query({"view": view, "q": words, "from": str(offset) if offset else ""})


def rejects_link(reason: str = "", duplicates_of: str = "", position: str = "") -> str:
    """Returns the address of rows of rejects: of one reason, or the duplicates of one sample."""
    return "/rejects" + _query({"reason": reason, "duplicates_of": duplicates_of, "from": position})


def _query(given: dict[str, str]) -> str:
    used = {name: value for name, value in given.items() if value}
    return "?" + urlencode(used, errors="replace") if used else ""


def _part(text: str) -> str:
    return quote(text, safe="", errors="replace")
