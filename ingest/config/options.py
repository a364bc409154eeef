"""What the option classes of all rooms share: the check of their fields, and errors that name the flag."""

from typing import NoReturn

from tagmill.shards.errors import ConfigError
from tagmill.shards.settings.ranges import check_fields


class Options:
    """Base of the option classes: checks types and ranges when an object is made. Subclasses add what concerns two fields."""

    def __post_init__(self) -> None:
        check_fields(self, flag_of)

    def _refuse(self, name: str, remedy: str) -> NoReturn:
        raise ConfigError(f"{name} = {getattr(self, name)!r}", flag_of(name), remedy)


def flag_of(name: str) -> str:
    """The flag of a field on the command line."""
    return "--" + name.replace("_", "-")
