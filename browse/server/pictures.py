"""Answers with the image of a sample, read by its range of the tar, as the type that its bytes have."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from tagmill.browse.search.sample_facts import reader_of
from tagmill.browse.server.site import Site, number_in
from tagmill.shards.errors import IntegrityError
from tagmill.shards.formats.shard_index import key_hex

MAX_BYTES = 64 << 20  # of an image; more is the work of an altered index


@dataclass(frozen=True)
class Pictures:
    """Answers requests for images."""

    site: Site

    def picture(self, request: Request) -> Response:
        """Answers `/picture/SHARD/ORDINAL`."""
        snapshot = self.site.watch.now()
        shard = snapshot.shard_number(request.path_params["shard"])
        ordinal = number_in(request.path_params["ordinal"])
        reader = reader_of(snapshot, shard, ordinal)
        record = reader.record(ordinal)
        where = f"{reader.where} {key_hex(record)}"
        if record["size"] > MAX_BYTES:
            raise IntegrityError(f"an image of {record['size']:,} bytes", where, "the index was altered: run lint")
        data = reader.picture(record)
        kind = image_type(data)
        if kind is None:
            raise IntegrityError("not an image that a browser shows", where, "see the facts of the sample")
        return Response(data, media_type=kind)


def image_type(data: bytes) -> str | None:
    """Returns the media type of JPEG, PNG or WebP bytes by their beginning; None for all others."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
