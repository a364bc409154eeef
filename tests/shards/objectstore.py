"""A real S3 service for tests: Ceph's object gateway over one monitor and one in-memory disk, on loopback, removed
afterwards.

Debian: apt-get install --no-install-recommends ceph-mon ceph-osd radosgw. Without them the tests that need it are
skipped.
"""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tagmill.shards.storage.hedge import LatencyTracker
from tests.shards.daemons import PATIENCE, daemon, free_ports, wait_for_port

PROGRAMS = ("monmaptool", "ceph-mon", "ceph-osd", "ceph", "radosgw-admin", "radosgw")

# No authentication between the daemons (mode crc, because 'secure' rules that out), no manager, one copy of everything.
# The two paxos intervals let a start take one second, tcp_nodelay a small request one millisecond instead of 44.
# The disk's size is a limit (1 GiB by default): writes to a full one wait for ever. Memory is taken as it is written.
CONFIGURATION = """
[global]
fsid = {cluster}
mon_host = [v2:127.0.0.1:{mon_port}/0]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr1 = false
ms_mon_client_mode = crc
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
keyring = {folder}/keyring
run_dir = {folder}
log_file = {folder}/$name.log
admin_socket =
mon_data = {folder}/mon
mon_allow_pool_size_one = true
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 34359738368
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
rgw_rados_pool_pg_num_min = 1
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
"""


@dataclass(frozen=True)
class ObjectStore:
    """A running service and its one user."""

    endpoint: str
    key: str = "tester"
    secret: str = "no-secret"

    @property
    def environment(self) -> dict[str, str]:
        """Returns the environment variables that s3fs, boto and DALI read."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Runs the service with its files in the empty folder `folder`; stops it at the end of the block, also after an
    error."""
    mon_port, port = free_ports(2)
    cluster, disk = str(uuid.uuid4()), str(uuid.uuid4())
    config = folder / "ceph.conf"
    config.write_text(CONFIGURATION.format(cluster=cluster, folder=folder, mon_port=mon_port, port=port))
    (folder / "keyring").touch()
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    store = ObjectStore(f"http://127.0.0.1:{port}")

    def tool(*command: str) -> str:
        ended = subprocess.run([*command], capture_output=True, text=True, timeout=PATIENCE)
        if ended.returncode:
            raise RuntimeError(f"{command[0]} ended with {ended.returncode}: {ended.stderr[-2000:]}")
        return ended.stdout.strip()

    def ceph(program: str, *arguments: str) -> str:
        return tool(program, "-c", str(config), *arguments)

    with ExitStack() as daemons:

        def started(name: str, *arguments: str) -> subprocess.Popen[bytes]:
            return daemons.enter_context(daemon(folder, [name, "-f", "-c", str(config), *arguments]))

        place = f"[v2:127.0.0.1:{mon_port}/0]"
        tool("monmaptool", "--create", "--fsid", cluster, "--addv", "a", place, str(folder / "monmap"))
        ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"))
        started("ceph-mon", "-i", "a")
        number = ceph("ceph", "osd", "new", disk)
        ceph("ceph-osd", "-i", number, "--mkfs", "--osd-uuid", disk)
        started("ceph-osd", "-i", number)
        user = ("--uid=tester", "--display-name=tester", f"--access-key={store.key}", f"--secret-key={store.secret}")
        ceph("radosgw-admin", "user", "create", *user)
        gateway = started("radosgw", "-n", "client.rgw")
        wait_for_port(port, gateway)
        yield store


@pytest.fixture(scope="session")
def s3_service() -> Iterator[ObjectStore]:
    """Starts the service, with the environment for its clients; skips if its programs are not installed."""
    if missing := missing_programs():
        pytest.skip(f"no S3 service here: {', '.join(missing)} not installed (Debian: ceph-mon ceph-osd radosgw)")
    import s3fs

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tagmill-s3-"))
        store = stack.enter_context(object_store(Path(folder)))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in store.environment.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "http_proxy"):
            patch.delenv(name, raising=False)
        s3fs.S3FileSystem.clear_instance_cache()
        yield store
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """No read of this process is repeated because the machine is busy, so requests can be counted."""
    monkeypatch.setattr(LatencyTracker, "late", 600.0)


@pytest.fixture
def s3_bucket(s3_service: ObjectStore) -> str:
    """Returns the URL of a new bucket."""
    import s3fs

    name = f"bucket-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"
