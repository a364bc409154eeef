"""Small files of images for tests of labelled sets."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image


def png(number: int, side: int = 4) -> bytes:
    """Returns an image of one colour, which is another for each number."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), (number % 256, number // 256 % 256, 7)).save(file, "PNG")
    return file.getvalue()


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Writes files below a folder; returns it."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def class_folders(*classes: str, each: int = 2, front: str = "") -> dict[str, bytes]:
    """Returns images in class folders, by path."""
    return {f"{front}{name}/{i}.png": png(10 * n + i) for n, name in enumerate(classes) for i in range(each)}


def tar_of(members: Mapping[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    """Returns a tar of members."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data), kind
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()
