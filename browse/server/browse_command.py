"""`tagmill corpus browse`: shows a corpus in a web browser, on this machine only."""

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
import uvicorn

from tagmill.browse.search.label_index import write_index
from tagmill.browse.search.snapshot import CorpusWatch, Snapshot, tables_cache
from tagmill.browse.server.app import make_app
from tagmill.browse.server.site import Site
from tagmill.shards.errors import ConfigError
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine
from tagmill.shards.settings.ranges import Between, check_fields

ADDRESS = "127.0.0.1"
CONNECTIONS = 64  # at a time
HEADER_BYTES = 16 << 10  # of a request


@dataclass(frozen=True, kw_only=True)
class BrowseConfig:
    """What is shown, and where."""

    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus."""
    port: Annotated[int, Between(0, 65535)] = 8321
    """Port on 127.0.0.1; 0 takes a free one."""
    index: bool = False
    """First write the search index of each view into the corpus, which reads the labels of every shard."""

    def __post_init__(self) -> None:
        check_fields(self, lambda name: f"--{name}")


BROWSE_COMMAND = CommandLine(
    "tagmill corpus browse", "Show a corpus in a web browser: labels, images, facts and rejects.", (BrowseConfig,)
)


def browse_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus browse` command line, until it is stopped from the keyboard."""
    (config,) = BROWSE_COMMAND.parse(arguments)
    watch = CorpusWatch(config.corpus, tables_cache())
    snapshot = watch.now()  # an address without a corpus is an error of the command
    if config.index:
        make_indexes(snapshot)
    with bound(config.port) as listening:
        port = listening.getsockname()[1]
        sys.stdout.write(f"http://{ADDRESS}:{port}/ shows {watch.url}; Ctrl-C ends it\n")
        sys.stdout.flush()
        try:
            server(Site(watch), port).run(sockets=[listening])
        except KeyboardInterrupt:  # how it ends
            sys.stdout.write("\n")


def make_indexes(snapshot: Snapshot) -> None:
    """Writes the search index of each view, and shows on standard error how far it is."""
    with progress_shown() as progress:
        for name in snapshot.view_names:
            progress.stage(f"index of {name}", snapshot.num_shards)
            write_index(snapshot, name, progress.advance)


def bound(port: int) -> socket.socket:
    """Returns a socket that listens on loopback. Raises ConfigError if the port is taken."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((ADDRESS, port))
        found.listen(CONNECTIONS)
    except OSError as error:
        found.close()
        raise ConfigError(
            f"port {port}: {error.strerror}", "--port", "give another one, or 0 for a free one"
        ) from error
    return found


def server(site: Site, port: int) -> uvicorn.Server:
    """Returns the server of a site for requests to `port`; `run` serves until it is stopped."""
    config = uvicorn.Config(
        make_app(site, port),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        http="h11",
        limit_concurrency=CONNECTIONS,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )
    return uvicorn.Server(config)
