"""Which addresses and names are on the public internet, in whatever form they hide."""

import ipaddress
import re

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: how hosts with IPv6 only reach the public IPv4 internet
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is routed (RFC 4291)
_TUNNELS = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"))  # 6to4 and Teredo carry any IPv4
# Names that are never on the public internet: RFC 6761, 6762, 8375, 9476, ICANN's "internal", and what routers give out.
_INSIDE = frozenset(["localhost", "local", "internal", "localdomain", "lan", "home", "corp", "intranet", "private"])
_INSIDE_ENDS = (".home.arpa", ".in-addr.arpa", ".ip6.arpa")
# The last word of a number that resolvers read as an address, such as 2130706433, 0x7f.1 or 127.1; no public name has one.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, in whatever form it hides: mapped, NAT64, 6to4 or Teredo."""
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
    """Whether a host may be on the public internet as far as its text tells, for those who cannot resolve it themselves.

    A literal is judged as an address. Of names, those without a dot and those under a top that is never public are not.
    """
    host = host.lower().rstrip(".")
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        rest, _, top = host.rpartition(".")
        return bool(rest) and top not in _INSIDE and not host.endswith(_INSIDE_ENDS) and not _NUMBER.fullmatch(top)
    return is_public(host)
