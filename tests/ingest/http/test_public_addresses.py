"""Which addresses and host names are public, in every notation that hides private ones."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.http.public_addresses import is_public, may_be_public


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2a00::1%eth0"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *[
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ],
        *["255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%lo", "fc00::1"],
        *["ff02::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"],
        *["64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:808:808::1", "2001:0:808:808::1", "2001:db8::1", "fec0::1"],
        *["", "host", "1.2.3"],
    ],
)
def test_private_addresses(address: str) -> None:
    assert not is_public(address)


@given(st.integers(0, 2**32 - 1))
def test_an_embedded_address_is_judged_as_itself(number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    public = is_public(str(plain))
    for prefix in ("::ffff:", "64:ff9b::"):
        assert is_public(f"{prefix}{plain}") == public
    if not plain.is_global:
        assert not public


@pytest.mark.parametrize(
    "host",
    ["example.org", "EXAMPLE.org.", "a.b.c-d.co", "8.8.8.8", "2606:4700::1111", "10.example", "local.org", "x.0xyz"],
)
def test_hosts_that_may_be_public(host: str) -> None:
    assert may_be_public(host)


@pytest.mark.parametrize(
    "host",
    [
        *[
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "printer.local",
            "vault.internal",
            "nas",
            "router.lan",
            "x.home.arpa",
        ],
        *["", ".", "127.0.0.1", "127.0.0.1.", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fe80::1%eth0"],
        *["64:ff9b::7f00:1", "2002:7f00:1::", "2130706433", "0x7f.1", "127.1", "0", "0x7f000001", "017700000001"],
        *["127.0.0.0x1", "1.2.3.4.5", "1.0.0.127.in-addr.arpa"],
    ],
)
def test_hosts_that_are_private_by_their_text(host: str) -> None:
    assert not may_be_public(host)


@given(st.ip_addresses())
def test_a_literal_host_is_judged_as_its_address(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert may_be_public(str(ip)) == is_public(str(ip))
