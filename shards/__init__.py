"""The corpus format and its storage: shards, manifest, views, and the only module that reads and writes stores. Imports
no other package of tagmill."""

from tagmill.shards.errors import (
    ConfigError,
    CorpusError,
    InputError,
    IntegrityError,
    StoreError,
    TagmillError,
)
from tagmill.shards.formats.record import Record
from tagmill.shards.manifest import Corpus, ShardEntry
from tagmill.shards.reader import ShardReader, Unreadable
from tagmill.shards.storage.store import Store
from tagmill.shards.view import View
from tagmill.shards.vocabulary import Label, Vocabulary

__all__ = [
    "ConfigError",
    "Corpus",
    "CorpusError",
    "InputError",
    "IntegrityError",
    "Label",
    "Record",
    "ShardEntry",
    "ShardReader",
    "Store",
    "StoreError",
    "TagmillError",
    "Unreadable",
    "View",
    "Vocabulary",
]
