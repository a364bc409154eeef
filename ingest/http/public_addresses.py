"""Which addresses and host names are on the public internet, in any notation."""

import ipaddress
import re

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: how IPv6-only hosts reach the public IPv4 internet
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is routed globally (RFC 4291)
_TUNNELS = (
    ipaddress.IPv6Network("2002::/16"),
    ipaddress.IPv6Network("2001::/32"),
)  # 6to4 and Teredo embed any IPv4 address
# Top labels that are never on the public internet: RFC 6761, 6762, 8375, 9476, ICANN's "internal", and those of
# routers.
_INSIDE = frozenset(["localhost", "local", "internal", "localdomain", "lan", "home", "corp", "intranet", "private"])
_INSIDE_ENDS = (".home.arpa", ".in-addr.arpa", ".ip6.arpa")
# The last label of a number that resolvers accept as an address (2130706433, 0x7f.1, 127.1); no public name has one.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def is_public(address: str) -> bool:
    """Returns whether an IP address is on the public internet; mapped, NAT64, 6to4 and Teredo addresses are unwrapped."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        elif ip not in _UNICAST or any(ip in tunnel for tunnel in _TUNNELS):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def may_be_public(host: str) -> bool:
    """Returns whether a host may be on the public internet, judged by its text only, without resolving it.

    A literal is judged as an address. Names without a dot, and names under a top label that is never public, are not
    public.
    """
    host = host.lower().rstrip(".")
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        rest, _, top = host.rpartition(".")
        return bool(rest) and top not in _INSIDE and not host.endswith(_INSIDE_ENDS) and not _NUMBER.fullmatch(top)
    return is_public(host)
