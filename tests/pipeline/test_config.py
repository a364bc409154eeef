"""Tests the values that a loader's configuration allows, and a process's rank and world."""

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tagmill.pipeline.batch import Normalisation
from tagmill.pipeline.config import LoaderConfig, World
from tagmill.pipeline.sizes import ProgressiveSize, VariedSize
from tagmill.shards.errors import ConfigError


def test_defaults_are_allowed_and_frozen() -> None:
    config = LoaderConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.batch_size = 3  # type: ignore[misc]
    assert dataclasses.replace(config, view=None, epochs=2, streams=8, threads=1, device="cuda:1").streams == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("split", "test"),
        ("batch_size", 0),
        ("batch_size", 32.0),
        ("batch_size", True),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", "1"),
        ("seed", False),
        ("streams", 0),
        ("window", 0),
        ("chunk", -4),
        ("size", 0),
        ("size", -8),
        ("size", 224.0),
        ("size", True),
        ("size", "128-320:32"),
        ("size", None),
        ("augment", "none"),
        ("output", "float16"),
        ("jitter", (0.4, 0.4, 0.4)),
        ("jitter", (0.4, 0.4, 0.4, 0.6)),
        ("jitter", (-0.1, 0, 0, 0)),
        ("jitter", (float("nan"), 0, 0, 0)),
        ("jitter", ("0.4", 0, 0, 0)),
        ("randaugment", (2,)),
        ("randaugment", (2, 31)),
        ("randaugment", (17, 9)),
        ("randaugment", (0, 9)),
        ("randaugment", (2.0, 9)),
        ("mixup", -0.1),
        ("mixup", 1e-4),
        ("mixup", float("inf")),
        ("mixup", float("nan")),
        ("mixup", True),
        ("mean", (1.0, 2.0)),
        ("mean", (1.0, 2.0, float("inf"))),
        ("std", (1.0, 0.0, 1.0)),
        ("std", (1.0, float("nan"), 1.0)),
        ("backend", "gpu"),
        ("device", "gpu"),
        ("device", "cuda:"),
        ("threads", 0),
        ("readers", 0),
        ("drop_last", "no"),
        ("even", 1),
        ("view", 3),
        ("cache", 3),
        ("cache_limit", 0),
        ("epochs", 0),
        ("memory_limit", 0),
        ("failure_budget", 1.5),
        ("failure_budget", float("nan")),
    ],
)
def test_invalid_values_are_named_with_a_remedy(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        LoaderConfig(**{name: value})
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("mean", (0.485, 0.456, 0.406), "123.675, 116.28, 103.53"),
        ("std", (0.229, 0.224, 0.225), "58.395, 57.12, 57.375"),
        ("mean", (0.0, 0.0, 0.5), "0, 0, 127.5"),
    ],
)
def test_colours_in_units_of_0_to_1_are_refused_with_the_right_ones(name: str, value: Any, right: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} = .*0\.\.255.*give \({right}\)"):
        LoaderConfig(**{name: value})
    with pytest.raises(ConfigError, match=rf"give \({right}\)"):
        Normalisation(**{"mean": (0.0,) * 3, "std": (1.0,) * 3, name: value}, dtype=torch.float32)
    LoaderConfig(mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))
    LoaderConfig(mean=(0.5, 128.0, 128.0), std=(1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    "options",
    [{"jitter": (0.4, 0.4, 0.4, 0.1)}, {"randaugment": (2, 9)}, {"mixup": 0.2}],
    ids=lambda one: next(iter(one)),
)
def test_augmentation_is_for_training(options: dict[str, Any]) -> None:
    LoaderConfig(**options)
    with pytest.raises(ConfigError, match=rf"{next(iter(options))}.*this is 'eval'"):
        LoaderConfig(augment="eval", **options)


def test_a_size_may_vary_in_training() -> None:
    for size in (VariedSize(128, 320), ProgressiveSize(128, 320, 10)):
        assert LoaderConfig(size=size).largest_size == 320
        with pytest.raises(ConfigError, match=r"size = .*this is 'eval': give one side"):
            LoaderConfig(size=size, augment="eval")
    assert LoaderConfig(size=96).largest_size == 96


def test_unknown_fields_and_ranks_raise_an_error() -> None:
    with pytest.raises(TypeError):
        LoaderConfig(batchsize=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        LoaderConfig("default")  # type: ignore[misc]


@pytest.mark.parametrize(("world_size", "streams"), [(1, 256), (32, 256), (33, 264), (336, 2688)])
def test_streams_by_default(world_size: int, streams: int) -> None:
    assert LoaderConfig().resolve_streams(world_size) == streams
    assert LoaderConfig(streams=8).resolve_streams(world_size) == 8


def test_readers_by_default_are_more_for_a_remote_store() -> None:
    assert (LoaderConfig().reader_range(False), LoaderConfig().reader_range(True)) == ((4, 4), (32, 128))
    assert LoaderConfig(readers=7).reader_range(True) == LoaderConfig(readers=7).reader_range(False) == (7, 7)


def test_readers_of_a_local_store_follow_the_budget_of_cores() -> None:
    assert [LoaderConfig(cores=cores).reader_range(False)[1] for cores in (1, 3, 4, 16)] == [1, 3, 4, 4]
    assert LoaderConfig(cores=1).reader_range(True) == (32, 128)  # they wait, and need no core each
    assert LoaderConfig(cores=1, readers=7).reader_range(False) == (7, 7)
    with pytest.raises(ConfigError, match="cores"):
        LoaderConfig(cores=0)


def test_the_failure_budget_has_a_floor() -> None:
    config = LoaderConfig(failure_budget=0.01)
    assert [config.allowed_holes(samples) for samples in (0, 100, 2000, 2100, 10**6)] == [20, 20, 20, 21, 10_000]


def test_a_world_from_the_environment() -> None:
    assert World.from_environment({}) == World(0, 1)
    assert World.from_environment({"RANK": "3", "WORLD_SIZE": "8"}) == World(3, 8)


@pytest.mark.parametrize("environment", [("x", "2"), ("1", "1"), ("-1", "2"), ("0", "0"), ("1", None), (None, "2")])
def test_an_impossible_world_raises_an_error(environment: tuple[str | None, str | None]) -> None:
    """One without the other too: every process would be the first of its own world."""
    names = dict(zip(("RANK", "WORLD_SIZE"), environment, strict=True))
    with pytest.raises(ConfigError):
        World.from_environment({name: value for name, value in names.items() if value is not None})


def test_the_folder_of_shared_tables() -> None:
    assert LoaderConfig(plan_cache="/fast/plans").cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/fast/plans")
    assert LoaderConfig().cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/tagmill")
    assert LoaderConfig().cache_folder({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / "tagmill"
    assert LoaderConfig().cache_folder({}) == Path.home() / ".cache" / "tagmill"


@pytest.mark.parametrize("name", ["cache", "plan_cache"])
def test_folders_are_resolved_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somebody")
    for given, found in (
        ("disk/fast", f"{tmp_path}/disk/fast"), (Path("disk"), f"{tmp_path}/disk"), (".", str(tmp_path)),
        ("~/disk", "/somebody/disk"), (Path("/disk"), "/disk"), ("file:///disk", "/disk"),
    ):  # fmt: skip
        config = LoaderConfig(**{name: given})
        assert getattr(config, name) == found
        assert replace(config, seed=1) == LoaderConfig(**{name: found}, seed=1)
    assert getattr(LoaderConfig(), name) is None


@pytest.mark.parametrize("name", ["cache", "plan_cache"])
@pytest.mark.parametrize("value", ["", " ", "s3://bucket/cache", "a\0b", 7, True, b"/disk"])
def test_folders_that_are_not_on_this_machine_raise_an_error(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        LoaderConfig(**{name: value})


def test_a_user_without_a_home_folder(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """As in containers with a random uid: tables are not shared, and a ~ raises a one-line error."""

    def no_home(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    assert LoaderConfig().cache_folder({}) is None
    assert "plan_cache" in caplog.text
    assert LoaderConfig(plan_cache=None).cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/tagmill")
    with pytest.raises(ConfigError, match="set HOME"):
        LoaderConfig(cache="~/disk")


def test_only_a_remote_store_is_read_ahead_of_the_windows() -> None:
    assert LoaderConfig(chunk=64).read_ahead(True, 32) == 32 * 64
    assert LoaderConfig(chunk=16).read_ahead(True, 3) == 48
    assert LoaderConfig().read_ahead(False, 4) == 0
