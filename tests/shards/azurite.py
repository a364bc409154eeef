"""Azurite, Microsoft's emulator of Azure's blob service, for tests: on loopback, in memory, stopped afterwards.

`make setup` installs it into build/azurite if npm and Node are there. Without it the tests that need it are skipped.
"""

import base64
import email.utils
import hashlib
import hmac
import os
import re
import shutil
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.shards.daemons import PATIENCE, daemon, output_of

PLACE = Path(__file__).resolve().parents[2] / "build/azurite"
PROGRAM = PLACE / "node_modules/azurite/dist/src/blob/main.js"
INSTALLED = PLACE / "installed.json"  # which setup/azurite.sh writes last


@dataclass(frozen=True)
class AzureService:
    """A running service and its one account, whose name and key are the same in every Azurite."""

    url: str
    account: str = "devstoreaccount1"
    key: str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    @property
    def environment(self) -> dict[str, str]:
        """Returns the environment variables of a client."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": self.account,
            "AZURE_STORAGE_ACCOUNT_KEY": self.key,
            "AZURE_STORAGE_ENDPOINT": f"{self.url}/{self.account}",
        }

    def create(self, container: str) -> None:
        """Creates a container."""
        headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        signed = "PUT" + "\n" * 12 + "".join(f"{name}:{value}\n" for name, value in headers.items())
        signed += f"/{self.account}/{self.account}/{container}\nrestype:container"
        digest = hmac.new(base64.b64decode(self.key), signed.encode(), hashlib.sha256).digest()
        headers |= {"Authorization": f"SharedKey {self.account}:{base64.b64encode(digest).decode()}"}
        where = f"{self.url}/{self.account}/{container}?restype=container"
        request = urllib.request.Request(where, method="PUT", headers=headers | {"Content-Length": "0"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE):
            pass


@contextmanager
def azure_service(folder: Path) -> Iterator[AzureService]:
    """Runs the service with its log in the folder `folder` until the end of the block."""
    node = shutil.which("node")
    assert node is not None
    place = ["--blobHost", "127.0.0.1", "--blobPort", "0"]  # 0: a free one, which the program prints
    command = [node, str(PROGRAM), *place, "--inMemoryPersistence", "--disableTelemetry", "--silent"]
    with daemon(folder, command) as process:
        end = time.monotonic() + PATIENCE
        while True:
            said = output_of(folder, command).read_text()
            if found := re.search(r"listens on (http://\S+)", said):
                break
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Azurite opened no port: {said[-2000:]}")
            time.sleep(0.02)
        yield AzureService(found[1])


@pytest.fixture(scope="session")
def azurite() -> Iterator[AzureService]:
    """Starts the service, with the environment for its clients; skips if it is not installed."""
    if shutil.which("node") is None or not INSTALLED.exists():
        pytest.skip("no emulator of Azure here: install Node 20 and npm, then run setup/azurite.sh")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tagmill-azurite-"))
        service = stack.enter_context(azure_service(Path(folder)))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in [name for name in os.environ if name.startswith("AZURE_")]:
            patch.delenv(name)
        for name, value in service.environment.items():
            patch.setenv(name, value)
        for name in ("HTTP_PROXY", "http_proxy"):
            patch.delenv(name, raising=False)
        yield service


@pytest.fixture
def azure_container(azurite: AzureService) -> str:
    """Returns the URL of a new container."""
    name = f"container-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    azurite.create(name)
    return f"az://{name}"
