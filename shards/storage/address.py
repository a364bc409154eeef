"""Addresses of this machine: which URLs are paths, and which path they mean."""

from pathlib import Path

from tagmill.shards.errors import ConfigError


def is_local(url: str) -> bool:
    """Returns True for a path or file:// URL, which the operating system serves without fsspec."""
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> Path:
    """Returns the absolute path of a local URL. Raises ConfigError for a ~ without a home folder."""
    path = Path(url.removeprefix("file://"))
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:  # a container's user without a passwd entry
        raise ConfigError("there is no home folder for ~", url, "set HOME, or give the whole path") from error
