"""Descriptions of connection errors that are equal in every run; the messages of the errors hold addresses and times."""

import errno
import socket
import ssl

_BY_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset by the host",
    errno.EPIPE: "reset by the host",
    errno.ECONNABORTED: "reset by the host",
    errno.ENETUNREACH: "network unreachable",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ETIMEDOUT: "timed out",
}
_TRY_AGAIN = frozenset([socket.EAI_AGAIN])


def describe_connection_error(error: OSError) -> str:
    """Returns why a connection failed or was lost, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS certificate: {getattr(error, 'verify_message', '') or 'not valid'}"[:200]
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'reason', '') or 'failed'}"
    if isinstance(error, socket.gaierror):
        return "the name server gave no answer" if error.errno in _TRY_AGAIN else "no such host name"
    if isinstance(error, ConnectionResetError):  # asyncio raises it without an errno
        return _BY_ERRNO[errno.ECONNRESET]
    return _BY_ERRNO.get(error.errno or 0) or errno.errorcode.get(error.errno or 0) or "no connection"
