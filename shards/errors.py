"""Errors of the corpus, the configuration and the machine: each says in one line what is wrong, where, and the remedy."""


class TagmillError(Exception):
    """A fault of the corpus, the configuration or the machine.

    `what` is the fault, `where` the location (store, shard, key, offset, column), `remedy` what a person can do now.
    Command lines print it and exit with status 1. It is never used for a bad sample, which is a counted value.
    """

    def __init__(self, what: str, where: object = "", remedy: str = "") -> None:
        self.what = what
        self.where = str(where)
        self.remedy = remedy
        super().__init__(what, self.where, remedy)

    def __str__(self) -> str:
        location = f" ({self.where})" if self.where else ""
        return " ".join(f"{self.what}{location}{f': {self.remedy}' if self.remedy else ''}".split())


class ConfigError(TagmillError):
    """A configuration with an invalid value, found when it is created."""


class InputError(TagmillError):
    """An input list that cannot be read: missing column, empty list, unreadable file."""


class StoreError(TagmillError):
    """A store that refuses access, or still fails after the retries that `tagmill.shards.storage.store` makes."""


class CorpusError(TagmillError):
    """A corpus that is missing, has another format version, or is inconsistent."""


class OvertakenError(CorpusError):
    """A corpus to which another process has committed since it was read; nothing was overwritten."""


class IntegrityError(CorpusError):
    """Stored bytes that differ from what was written: truncated, altered, or not a tar of this format."""


class TakenDownError(CorpusError):
    """A sample that is on the corpus's takedown list: it must not be read."""
