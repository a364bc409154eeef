"""What went wrong with a connection, in words that are the same in every run: messages hold addresses and times."""

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


def why_lost(error: OSError) -> str:
    """Why there is no connection, or none any more."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS certificate: {getattr(error, 'verify_message', '') or 'not valid'}"[:200]
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'reason', '') or 'failed'}"
    if isinstance(error, socket.gaierror):
        return "the name server gave no answer" if error.errno in _TRY_AGAIN else "no such host name"
    if isinstance(error, ConnectionResetError):  # asyncio's own have no number
        return _BY_ERRNO[errno.ECONNRESET]
    return _BY_ERRNO.get(error.errno or 0) or errno.errorcode.get(error.errno or 0) or "no connection"
