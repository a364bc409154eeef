"""Reads small files that a user names by path or URL: words, labels, keys."""

import codecs

from tagmill.ingest.text.encoding import BYTES_EXAMINED, encoding_remedy, wide_encoding
from tagmill.shards.errors import ConfigError, StoreError
from tagmill.shards.storage.store import Store


def read_list(path: str, max_bytes: int, wanted: str) -> bytes:
    """Returns the file's bytes. Raises ConfigError where it is missing or too long; `wanted` says what to give instead."""
    folder, slash, name = path.rpartition("/")
    store = Store(folder or slash or ".")
    try:
        if store.size(name) > max_bytes:
            raise ConfigError(f"more than {max_bytes >> 20} MB", path, "give a shorter list")
        return store.read(name)
    except FileNotFoundError as error:
        raise ConfigError("no such file", path, f"check the name; {wanted}") from error
    except StoreError as error:
        if isinstance(error.__cause__, IsADirectoryError):
            raise ConfigError("a folder, where a file is wanted", path, wanted) from error
        raise


def text_of(data: bytes, path: str) -> str:
    """Decodes a UTF-8 list without its byte order mark. Raises ConfigError with the number of the invalid line."""
    if encoding := wide_encoding(data[:BYTES_EXAMINED]):
        raise ConfigError(f"this is {encoding}, not UTF-8", path, encoding_remedy(encoding))
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("not text in UTF-8", f"{path}, line {line}", "save it as UTF-8") from error
