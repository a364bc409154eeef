"""The application: which page answers which address."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tagmill.browse.server.guard import Guard
from tagmill.browse.server.pages import Pages
from tagmill.browse.server.pictures import Pictures
from tagmill.browse.server.reject_pages import RejectPages
from tagmill.browse.server.site import Site
from tagmill.shards.errors import TagmillError

_STATIC = Path(__file__).parent / "static"
STATIC = {"browse.css": "text/css", "browse.js": "text/javascript", "icon.svg": "image/svg+xml"}


def make_app(site: Site, port: int) -> Guard:
    """Returns the application for requests to 127.0.0.1 and `port`."""
    pages, rejects, pictures = Pages(site), RejectPages(site), Pictures(site)

    def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, TagmillError)
        return site.error_page(request, error)

    def missing(request: Request, error: Exception) -> Response:
        what = TagmillError("no page here", request.url.path[:100], "follow the links of the first page")
        return site.error_page(request, what)

    def files(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(404)
        return Response((_STATIC / name).read_bytes(), media_type=STATIC[name])

    routes = [
        Route("/", pages.home),
        Route("/labels", pages.labels),
        Route("/find", pages.find),
        Route("/synset/{synset}", pages.synset),
        Route("/sample/{shard}/{ordinal}", pages.sample),
        Route("/picture/{shard}/{ordinal}", pictures.picture),
        Route("/rejects", rejects.rejects),
        Route("/static/{name}", files),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={TagmillError: failed, 404: missing}), port)
