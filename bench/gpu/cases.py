"""The cases: the limit, the loader, other loaders, networks in training; each in its own process."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from tagmill.bench.gpu.results import DECODER, LOADER, WEBDATASET
from tagmill.bench.gpu.trainer import WAYS
from tagmill.bench.workers import PEERS

GPU = Path(__file__).resolve().parent
NETWORKS = {"resnext101_32x8d": 128, "regnety_160": 128, "vit_base_patch16_224": 256}  # timm's names, and their batches
SMALL = {"test_resnet": 4}  # timm's for tests: whether it runs at all
STREAMS = 8  # of tagmill's loader, so that 1,024 samples are open, as in others' shuffle buffers: see bench/loader.py
S3 = "tagmill, S3 on loopback"


@dataclass(frozen=True)
class Size:
    """Durations of the measurements."""

    batch: int = 256
    warm: int = 6
    batches: int = 200  # of a loader: at a GPU's rate 40 are half a second
    steps: int = 40  # of a network
    seconds: float = 3.0  # of a setting of the graph from memory
    networks: dict[str, int] = field(default_factory=lambda: NETWORKS)
    training_rounds: int = 2
    streams: int = STREAMS


QUICK = Size(batch=32, warm=1, batches=2, steps=2, seconds=0.2, networks=SMALL, training_rounds=1, streams=2)


@dataclass(frozen=True)
class Case:
    """A worker and its arguments."""

    part: str
    corpus: str  # 256 or full
    name: str
    command: tuple[str, ...]
    processes: int = 1  # that run at the same time, each as a rank of one machine


def peers(corpus: str, data: Path, device: str, threads: int, size: Size, decoding: str) -> list[Case]:
    """Returns decoder, loader and peers: uint8 images of 224 pixels, delivered on the device."""
    flags = [
        f"--{name}={value}" for name, value in (("batch", size.batch), ("warm", size.warm), ("batches", size.batches))
    ]
    flags += [f"--threads={threads}", f"--device={device}", "--output=uint8"]
    ours = [*flags, f"--streams={size.streams}", f"--decoding={decoding}", "--backend=dali"]
    whole, files = str(data / "corpus"), str(data / "images")
    found = []
    for part, name, worker, place, told in (
        ("limit", DECODER, "dali_slice.py", whole, flags),
        ("loader", LOADER, "tagmill_loader.py", whole, ours),
        ("peers", "DALI's reader", "dali_reader.py", whole, flags),
        ("peers", WEBDATASET, "webdataset_tars.py", whole, flags),
        ("peers", "ImageFolder + DataLoader", "torchvision_folder.py", files, flags),
        (
            "peers",
            "ImageFolder + DataLoader, torchcodec",
            "torchvision_folder.py",
            files,
            [*flags, "--decoder=torchcodec"],
        ),
        ("loader", "tagmill, decoding on the CPU", "tagmill_loader.py", whole, [*ours[:-1], "--backend=cpu"]),
        ("loader", "tagmill, both at once", "tagmill_loader.py", whole, [*ours[:-1], "--backend=both"]),
        ("loader", "tagmill, by its own choice", "tagmill_loader.py", whole, [*ours[:-1], "--backend=auto"]),
    ):
        found.append(Case(part, corpus, name, (sys.executable, "-P", str(PEERS / worker), place, *told)))
    return found


def from_s3(corpus: str, url: str, like: Case) -> Case:
    """Returns the loader from a bucket."""
    command = list(like.command)
    command[3] = url
    return Case("s3", corpus, S3, tuple(command))


def training(
    corpus: str, data: Path, device: str, threads: int, size: Size, decoding: str, compiled: bool = False
) -> list[Case]:
    """Returns the networks, fed by the loader and by batches that are on the device already."""
    found = []
    for backend, told in (("dali", ""), ("cpu", ", decoding on the CPU")):
        for model, batch in size.networks.items():
            flags = [f"--model={model}", f"--batch={batch}", f"--device={device}", f"--threads={threads}"]
            flags += [f"--streams={size.streams}", f"--decoding={decoding}", f"--backend={backend}"]
            flags += [f"--warm={size.warm}", f"--batches={size.steps}", f"--rounds={size.training_rounds}"]
            command = (sys.executable, "-P", str(GPU / "training.py"), str(data / "corpus"), *flags)
            name = f"{model}{', compiled' if compiled else ''}{told}"
            found.append(Case("training", corpus, name, (*command, *(["--compile"] if compiled else []))))
    return found


def ways(corpus: str, data: Path, device: str, threads: int, size: Size) -> list[Case]:
    """Returns the trainer's command, once in each way that a GPU has."""
    model, batch = list(size.networks.items())[-1]
    found = []
    for way in WAYS:
        flags = [f"--way={way}", f"--model={model}", f"--batch={batch}", f"--device={device}", f"--threads={threads}"]
        flags += [f"--streams={size.streams}", "--backend=auto", f"--every={max(1, size.steps // 4)}"]
        command = (sys.executable, "-P", str(GPU / "trainer.py"), str(data / "corpus"), *flags)
        found.append(Case("trainer", corpus, f"tagmill train, {model}, {way}", command))
    return found
