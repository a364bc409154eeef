"""The driver of S3, Google Cloud Storage and Azure, by obstore: its calls release the GIL while they wait, and verify the
length of every answer."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.listing import Page
from tagmill.shards.storage.remote.answers import BehindEndError, BusyError, MisdirectedError
from tagmill.shards.storage.remote.azure_settings import azure_environment, azure_settings
from tagmill.shards.storage.remote.clients import SHORT_READ, Patience, Settings, client, connected, reading, writing
from tagmill.shards.storage.remote.gcs_settings import GOOGLE_KEYS, gcs_settings, google_environment
from tagmill.shards.storage.remote.places import Place, Service
from tagmill.shards.storage.remote.probe import WAITS_ASKED, ask_head
from tagmill.shards.storage.remote.s3_credentials import Keys, aws_environment, key_ring, s3_place
from tagmill.shards.storage.threads import pause

# Bytes of the longest put in one request. Ceph 16 ignores If-None-Match when a multipart upload is completed.
SINGLE_PUT: dict[Service, int] = {"s3": 5 << 30, "gs": 5 << 40, "az": 5000 << 20}
PAGE = 1000  # objects in one page of a listing
BULK: dict[Service, int] = {"s3": 1000, "gs": 100, "az": 256}  # objects in one request that deletes, or requests of GCS
# Metadata that identifies the creator of an object. Azure allows no hyphen.
PUT_MARK: dict[Service, str] = {"s3": "tagmill-put", "gs": "tagmill-put", "az": "tagmill_put"}
PARTS = 9000  # largest number of parts of a multipart upload; S3 allows 10,000
GCS_URL = "https://storage.googleapis.com"
AZURE_RETRIES = 6  # of each page of a listing of Azure


@dataclass
class _AzureListing:
    """A listing that was begun; `failed`: it cannot be continued."""

    pages: Iterator[Any]
    failed: bool = False


@dataclass
class BucketDriver:
    """One bucket."""

    place: Place
    hedged: ClassVar[bool] = True
    _signed_with: Keys | None = field(default=None, init=False, compare=False)

    @property
    def bulk(self) -> int:
        return BULK[self.place.service]

    def renew(self) -> bool | None:
        if self.place.service == "s3":
            return key_ring(aws_environment()).renew(self._signed_with)
        return GOOGLE_KEYS.renew(google_environment()) if self.place.service == "gs" else None

    def size(self, path: str) -> int:
        with self._connected(path) as obstore:
            return int(obstore.head(self._client(reading()), path)["size"])

    def read(self, path: str) -> bytes:
        with self._connected(path) as obstore:
            answer = obstore.get(self._client(reading()), path)
            if int(answer.meta["size"]) > SHORT_READ:
                answer = obstore.get(self._client(reading(int(answer.meta["size"]))), path)
            return bytes(answer.bytes())

    def read_range(self, path: str, start: int, stop: int) -> tuple[bytes | memoryview, int]:
        try:
            with self._connected(path) as obstore:
                answer = obstore.get(self._client(reading(stop - start)), path, options={"range": (start, stop)})
                data, size = memoryview(answer.bytes()), int(answer.meta["size"])
        except BehindEndError:
            if (size := self.size(path)) > start:
                raise
            return b"", size
        if len(data) != min(stop, size) - start:
            raise OSError(errno.EIO, f"{len(data)} of {min(stop, size) - start} bytes arrived")
        return data, size

    def page(self, folder: str, after: Any) -> Page:
        """Requests one page; one request at a time, so that each can be retried. Names are sorted, so a page of S3 and of
        GCS begins after the last name of the previous one, whatever was added or deleted since."""
        prefix = folder.strip("/")
        if self.place.service == "az":
            return self._page_of_azure(prefix, after)
        with self._connected(folder) as obstore:
            pages = obstore.list(self._client(reading()), prefix=prefix or None, offset=after, chunk_size=PAGE)
            found = [(str(each["path"]), int(each["size"])) for each in next(pages, [])]
        inside = [each for each in found if each[0].startswith(f"{prefix}/" if prefix else "")]
        return Page(inside, [], found[-1][0] if len(found) == PAGE else None)

    def _page_of_azure(self, prefix: str, after: "_AzureListing | None") -> Page:
        """Continues a listing by the service's own marker, because Azure's emulator and Fabric ignore or misread a name
        to begin after. The marker is inside obstore, which retries the further pages itself."""
        with self._connected(prefix) as obstore:
            if after is None:
                patient = self._client(reading(), retries=AZURE_RETRIES)
                after = _AzureListing(iter(obstore.list(patient, prefix=prefix or None, chunk_size=PAGE)))
            elif after.failed:
                raise StoreError("a listing failed after its first page", prefix, "run again")
            after.failed = True
            found = [(str(each["path"]), int(each["size"])) for each in next(after.pages, [])]
            after.failed = False
        inside = [each for each in found if each[0].startswith(f"{prefix}/" if prefix else "")]
        return Page(inside, [], after if len(found) == PAGE else None)

    def folder(self, folder: str) -> Page:
        prefix = folder.strip("/")
        with self._connected(folder) as obstore:
            found = obstore.list_with_delimiter(self._client(reading()), prefix=prefix or None)
            objects = [(str(each["path"]), int(each["size"])) for each in found["objects"]]
        return Page(objects, [f"{str(each).rstrip('/')}/" for each in found["common_prefixes"]])

    def put(self, path: str, source: bytes | Path) -> None:
        with self._connected(path) as obstore:
            if isinstance(source, bytes):
                obstore.put(self._client(writing(len(source))), path, source, use_multipart=False)
            else:
                part = max(8 << 20, source.stat().st_size // PARTS)
                obstore.put(self._client(writing(part)), path, source, chunk_size=part)

    def create(self, path: str, data: bytes, mark: str) -> None:
        if len(data) >= SINGLE_PUT[self.place.service]:
            most = SINGLE_PUT[self.place.service] - 1
            raise StoreError("too long for a put-if-absent", path, f"at most {most} bytes")
        self._put_if(path, data, "create", mark)

    def is_made_by(self, path: str, data: bytes, mark: str, tries: int) -> bool:
        with self._connected(path) as obstore:
            found = obstore.get(self._client(reading()), path, options={"head": True})
            return bool(found.attributes.get(PUT_MARK[self.place.service]) == mark)

    def exchange(self, path: str, old: bytes, new: bytes, mark: str) -> None:
        with self._connected(path) as obstore:
            found = obstore.get(self._client(reading()), path)
            if bytes(found.bytes()) != old:
                raise FileExistsError(errno.EEXIST, "changed", path)
            seen = {name: found.meta[name] for name in ("e_tag", "version") if found.meta[name]}
        if self.place.service == "s3":  # needs no quotes, and Ceph 16 does not recognise an ETag with them
            seen["e_tag"] = seen["e_tag"].strip('"')
        self._put_if(path, new, seen, mark)

    def _put_if(self, path: str, data: bytes, mode: Any, mark: str) -> None:
        attributes = {PUT_MARK[self.place.service]: mark}
        with self._connected(path) as obstore:
            to = self._client(writing(len(data)))
            obstore.put(to, path, data, use_multipart=False, mode=mode, attributes=attributes)

    def delete(self, path: str) -> None:
        with self._connected(path) as obstore:
            obstore.delete(self._client(writing(0)), [path])

    def delete_many(self, paths: Sequence[str]) -> None:
        """S3 takes one request, and Azure one of at most 256. GCS has none: obstore sends ten at a time."""
        try:
            with self._connected(paths[0]) as obstore:
                obstore.delete(self._client(writing(1 << 24)), list(paths))
        except FileNotFoundError:
            # Of several answers only the first error is visible, so the rest may still exist.
            if len(paths) == 1:
                return
            for path in paths:
                self.delete_many([path])

    def _client(self, patience: Patience, retries: int = 0) -> Any:
        keys: Settings | None = None
        if self.place.service == "s3":
            environment = aws_environment()
            ring = key_ring(environment)
            self._signed_with = None if ring.unsigned else ring.current()
            settings: dict[str, Any] = dict(s3_place(environment))
            if self._signed_with is None:
                settings["skip_signature"] = True
            else:
                keys = tuple(self._signed_with._asdict().items())
            return client(self.place, patience, tuple(settings.items()), environment, keys)
        if self.place.service == "gs":
            environment = google_environment()
            version = GOOGLE_KEYS.version(environment)
            return client(self.place, patience, gcs_settings(environment), (environment, version), None)
        environment = azure_environment()
        settings_of_azure = azure_settings(self.place, environment)
        return client(self.place, patience, settings_of_azure, environment, None, retries)

    @contextmanager
    def _connected(self, path: str) -> Iterator[Any]:
        """Calls obstore, and completes errors by what only headers say."""
        try:
            with connected(path, self.place.service) as obstore:
                yield obstore
        except BusyError as error:
            pause()  # no request in a thread whose pool was stopped
            error.retry_after = WAITS_ASKED.seconds(self.place, lambda: self._signed_url(path))
            raise
        except MisdirectedError as error:
            if self.place.service == "s3":
                error.ask = self._region
            raise

    def _signed_url(self, path: str) -> str | None:
        """Returns a URL for one HEAD request. GCS signs no URL without other requests, so there it is not signed."""
        if self.place.service == "gs":
            base = str(dict(gcs_settings(google_environment())).get("base_url", GCS_URL))
            return f"{base}/{self.place.bucket}/{quote(path)}"
        if self.place.service == "s3" and self._signed_with is None:
            return f"{_s3_url()}/{self.place.bucket}/{quote(path)}"
        method = "HEAD" if self.place.service == "s3" else "GET"  # a signature of Azure for GET is good for both
        with suppress(OSError, StoreError), connected(path, self.place.service) as obstore:
            return str(obstore.sign(self._client(reading()), method, path, timedelta(minutes=1)))
        return None

    def _region(self) -> str | None:
        """Asks S3 where the bucket is. Returns None if that is the region that was asked."""
        answer = ask_head(f"{_s3_url()}/{self.place.bucket}")
        found = answer.headers.get("x-amz-bucket-region") if answer is not None else None
        return found if found != s3_place(aws_environment()).get("region", "us-east-1") else None


def _s3_url() -> str:
    given = s3_place(aws_environment())
    return given.get("endpoint", f"https://s3.{given.get('region', 'us-east-1')}.amazonaws.com").rstrip("/")
