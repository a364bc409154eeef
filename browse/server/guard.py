"""What every request and every answer of the server must be: from this machine, for reading, and unable to run anything.

A page of the web cannot read these pages: its requests have another Host (also where its name is made to mean 127.0.0.1,
DNS rebinding) or say that they come from another site, and answers may not be embedded elsewhere.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Scripts may fetch pages of this server alone: the grid loads more by itself.
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",  # a copy in the browser's cache would outlive a takedown
}
METHODS = ("GET", "HEAD")
NAMES = ("127.0.0.1", "localhost")


class Guard:
    """Passes on requests that may be answered, and adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = frozenset([f"{name}:{port}" for name in NAMES] + (list(NAMES) if port == 80 else []))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request of the ASGI protocol; other protocols than HTTP are refused."""
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("Open this page by the address that `tagmill corpus browse` printed.\n", 421)
        if scope["method"] not in METHODS:
            return PlainTextResponse("These pages are for reading only.\n", 405, {"Allow": ", ".join(METHODS)})
        site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode", "navigate")
        if site not in ("none", "same-origin") and mode != "navigate":
            return PlainTextResponse("These pages may not be part of another site.\n", 403)
        return None
