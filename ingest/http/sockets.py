"""The sockets of a fetcher: only to public addresses unless told, counted, and never more than the process may have."""

import errno
import resource
import socket
from typing import Any
from weakref import WeakSet

from tagmill.ingest.http.public_addresses import is_public

NO_FILES = frozenset([errno.EMFILE, errno.ENFILE])  # of an OSError: the process or the machine may open no more
WANTED_FILES = 65_536  # open files that a process asks for; what it was given by default is often 1,024


class PrivateAddressError(OSError):
    """A socket was asked for to an address that is not on the public internet."""

    def __init__(self) -> None:
        # One text for all, or a host with several is reported as another error.
        super().__init__("not a public address")


def may_open() -> int:
    """How many files this process may have open, after it has asked for as many as it may ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return wanted if soft == resource.RLIM_INFINITY else soft


class Sockets:
    """Makes every connection, after names are resolved, so that no name and no redirect leads inside.

    Of a web of many hosts each leaves a connection behind that is kept open for a while in case its host is asked again.
    When `most` are open, `crowded` says that the next ones are better closed after use.
    """

    def __init__(self, *, public_only: bool, most: int) -> None:
        self._public_only, self._most = public_only, most
        self._open: WeakSet[socket.socket] = WeakSet()

    def __call__(self, info: tuple[Any, Any, int, str, Any]) -> socket.socket:
        """The socket for an address as `getaddrinfo` describes it. Raises PrivateAddressError."""
        family, kind, protocol, _, address = info
        if self._public_only and not is_public(str(address[0])):
            raise PrivateAddressError
        made = socket.socket(family=family, type=kind, proto=protocol)
        self._open.add(made)
        return made

    @property
    def crowded(self) -> bool:
        if len(self._open) < self._most:
            return False
        return sum(one.fileno() >= 0 for one in self._open) >= self._most  # closed ones may wait for the collector
