"""The errors of broken promises: each says in one line what is wrong, where, and the way out."""


class TagmillError(Exception):
    """A promise that the corpus, the configuration or the machine does not keep.

    `what` is the fact, `where` the place (store, shard, key, offset, column), `remedy` what a person can do now.
    Command lines print it as it is and end with status 1; it is never used for a bad sample, which is a counted value.
    """

    def __init__(self, what: str, where: object = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, str(where), remedy
        super().__init__(what, self.where, remedy)

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return " ".join(f"{self.what}{place}{f': {self.remedy}' if self.remedy else ''}".split())


class ConfigError(TagmillError):
    """A configuration that cannot be right, found when it is made."""


class InputError(TagmillError):
    """An input list that cannot be read: missing column, empty list, unreadable file."""


class StoreError(TagmillError):
    """A store that refuses or keeps failing after the retries that `tagmill.shards.storage.store` makes."""


class CorpusError(TagmillError):
    """A corpus that is missing, of another format version, or does not hold together."""


class OvertakenError(CorpusError):
    """A corpus to which somebody else has committed since it was read; nothing was written over that."""


class IntegrityError(CorpusError):
    """Bytes at rest that are not the bytes that were written: cut, altered, or not a tar that we could have made."""
