"""The batch script and the manifest of docs/training/clusters.md, with stand-ins of the programs that start them."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch.distributed.run import parse_args

from tagmill.training.config.recipe import from_command_line
from tests.markdown import ROOT, Block, Page

BLOCKS = Page(ROOT / "docs" / "training" / "clusters.md").blocks
(BATCH,) = [block for block in BLOCKS if block.text.startswith("#!/bin/bash")]
(MANIFEST,) = [block for block in BLOCKS if block.language == "yaml"]
LINES = [line for block in BLOCKS if block is not BATCH for line in block.commands if line.startswith("torchrun ")]
WORLD = 32  # of the recipe that the page trains with


def check(arguments: list[str]) -> Any:
    """What torchrun makes of its arguments; those of the program must be a run's."""
    found = parse_args(arguments)
    assert (found.module, found.training_script, found.max_restarts) == (True, "tagmill.train", 3)
    config = from_command_line(found.training_script_args)
    assert config.model == "resnetv2_50x1_bit" and config.batch_size % WORLD == 0
    return found


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # where recipes/ is


@pytest.mark.parametrize("line", LINES, ids=["one node", "several nodes"])
def test_lines_of_torchrun_are_read_by_it(line: str) -> None:
    found = check(line.split()[1:])
    assert found.nproc_per_node == "8"
    assert found.standalone or (found.nnodes, found.rdzv_backend, found.rdzv_endpoint) == ("4", "c10d", "node1:29500")


def test_the_batch_script_starts_torchrun_once_a_node(tmp_path: Path) -> None:
    stand_ins = {
        "scontrol": 'test "$*" = "show hostnames gpu[7-10]"; printf "gpu%s\\n" 7 8 9 10',
        "srun": 'test "$1" = --kill-on-bad-exit=1; shift; "$@"',
        "torchrun": f'printf "%s\\n" "$@" >> {tmp_path}/arguments',
    }
    for name, text in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/bash\nset -e\n{text}\n")
        (tmp_path / name).chmod(0o755)
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", BATCH.text, re.MULTILINE))
    given = {"SLURM_JOB_NODELIST": "gpu[7-10]", "SLURM_NNODES": options["nodes"], "SLURM_JOB_ID": "41"}
    environment = {**os.environ, **given, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", BATCH.text], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = check((tmp_path / "arguments").read_text().splitlines())
    assert (found.rdzv_endpoint, found.rdzv_id, found.rdzv_backend) == ("gpu7:29500", "41", "c10d")
    assert (found.nnodes, found.nproc_per_node) == (options["nodes"], options["gpus-per-node"])
    assert int(options["nodes"]) * int(options["gpus-per-node"]) == WORLD and options["ntasks-per-node"] == "1"


def documents(block: Block) -> dict[str, Any]:
    return {each["kind"]: each for each in yaml.safe_load_all(block.text)}


def test_the_manifest_is_one_job_whose_pods_find_the_first_of_them() -> None:
    service, job = documents(MANIFEST)["Service"], documents(MANIFEST)["Job"]
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][0] == "torchrun"
    found = check(container["command"][1:])
    nodes, name = job["spec"]["completions"], job["metadata"]["name"]
    assert (job["spec"]["completionMode"], job["spec"]["parallelism"], found.nnodes) == ("Indexed", nodes, str(nodes))
    assert nodes * container["resources"]["limits"]["nvidia.com/gpu"] == nodes * int(found.nproc_per_node) == WORLD
    # The pod of index 0 has the name JOB-0 below the headless service that is its subdomain.
    (port,) = service["spec"]["ports"]
    assert found.rdzv_endpoint == f"{name}-0.{service['metadata']['name']}:{port['port']}"
    assert pod["subdomain"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert service["spec"]["publishNotReadyAddresses"] is True  # pods meet before they are ready
    assert pod["terminationGracePeriodSeconds"] > 30  # that torchrun gives its processes


def test_what_the_manifest_mounts_exists_and_has_the_output() -> None:
    pod = documents(MANIFEST)["Job"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    output = next(word.partition("=")[2] for word in container["command"] if word.startswith("--output="))
    assert any(Path(output).is_relative_to(path) for path in mounts.values()) and "/dev/shm" in mounts.values()
