"""Sockets connect to public addresses only and are counted while open; the open-file limit is raised as far as allowed."""

import resource
import socket
import subprocess
import sys

import pytest

from tagmill.ingest.http.sockets import PrivateAddressError, SocketFactory, raise_open_file_limit


def info(address: str) -> tuple[int, int, int, str, tuple[str, int]]:
    return socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 80)


def test_private_addresses_are_refused_by_default() -> None:
    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254"):
        with pytest.raises(PrivateAddressError):
            SocketFactory(public_only=True, most=8)(info(address))
        SocketFactory(public_only=False, most=8)(info(address)).close()
    SocketFactory(public_only=True, most=8)(info("1.1.1.1")).close()  # made, not connected


def test_crowded_counts_open_sockets() -> None:
    sockets = SocketFactory(public_only=False, most=3)
    kept = []
    for _ in range(3):
        assert not sockets.crowded
        kept.append(sockets(info("127.0.0.1")))
    assert sockets.crowded
    closed = kept.pop()
    closed.close()  # and not collected yet
    assert not sockets.crowded
    for one in kept:
        one.close()


@pytest.mark.parametrize(("soft", "hard"), [(32, 96), (96, 96)])
def test_the_open_file_limit_is_raised(soft: int, hard: int) -> None:
    code = (
        "import resource; from tagmill.ingest.http.sockets import raise_open_file_limit\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "print(raise_open_file_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["96", "96", "96"]


def test_a_limit_that_is_high_enough_stays() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_open_file_limit() > 0
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] == before[1]
