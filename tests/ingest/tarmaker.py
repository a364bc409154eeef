"""Tars for tests: made by the standard library, as other programs make them, and cut or altered by hand."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.sources.inputs import Input
from tagmill.ingest.sources.samples import Listing, Sample
from tagmill.ingest.sources.stored.tar import samples_of_tar

Entry = tuple[str, bytes] | tarfile.TarInfo


def tar(path: Path, entries: Iterable[Entry], form: int = tarfile.USTAR_FORMAT) -> Path:
    """Files by name and content, and headers as they are."""
    with tarfile.open(path, "w", format=form) as file:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                file.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            file.addfile(info, io.BytesIO(entry[1]))
    return path


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def config(**settings: object) -> IngestConfig:
    return IngestConfig(input=("x.tar",), output="corpus", **settings)  # type: ignore[arg-type]


def samples(path: Path, **settings: object) -> list[Sample]:
    return list(samples_of_tar(Input(str(path), "tars", path.name), config(**settings), Listing()))


def bytes_of(sample: Sample) -> bytes:
    """The picture, by its place alone."""
    place = sample.location
    return Path(place.object).read_bytes()[place.offset : place.offset + place.size]
