"""Creates the sockets of a fetcher: to public addresses only (by default), counted, within the file limit of the process."""

import errno
import resource
import socket
from typing import Any
from weakref import WeakSet

from tagmill.ingest.http.public_addresses import is_public

OUT_OF_FILES = frozenset([errno.EMFILE, errno.ENFILE])  # errno: the process or the machine has no file descriptors left
WANTED_FILES = 65_536  # the open-file limit that is requested; the default is often 1,024


class PrivateAddressError(OSError):
    """A socket was requested for an address that is not on the public internet."""

    def __init__(self) -> None:
        # One text for all addresses: aiohttp reports several different errors as another type.
        super().__init__("not a public address")


def raise_open_file_limit() -> int:
    """Raises the soft limit of open files towards WANTED_FILES, and returns the limit that now applies."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return wanted if soft == resource.RLIM_INFINITY else soft


class SocketFactory:
    """Creates every socket after name resolution, so that no host name and no redirect leads to a private address.

    With many hosts, each leaves an idle connection behind that is kept for its next request. When `most` sockets are
    open, `crowded` says that new connections should be closed after use.
    """

    def __init__(self, *, public_only: bool, most: int) -> None:
        self._public_only = public_only
        self._most = most
        self._open: WeakSet[socket.socket] = WeakSet()

    def __call__(self, info: tuple[Any, Any, int, str, Any]) -> socket.socket:
        """Returns a socket for an address as described by `getaddrinfo`. Raises PrivateAddressError."""
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
        return sum(one.fileno() >= 0 for one in self._open) >= self._most  # closed ones may not be collected yet
