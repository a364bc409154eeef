"""Tests which checkpoints are kept, and that nothing else is removed."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import Store
from tagmill.training.checkpoints.keeping import remove, remove_leftovers, superfluous
from tagmill.training.checkpoints.layout import Done, best, steps_there

RECORD = Done(step=0, images=0, steps=9, serial=1, score=None, world=1, identity={}, loader={}, objects={})


@given(st.dictionaries(st.integers(0, 50), st.none() | st.sampled_from([0.1, 0.2, 0.3])), st.integers(1, 5))
def test_the_last_ones_and_the_best_are_kept(scores: dict[int, float | None], keep: int) -> None:
    records = {step: replace(RECORD, step=step, score=score) for step, score in scores.items()}
    kept = set(records) - superfluous(records, keep)
    assert kept >= set(sorted(records)[-keep:])
    found = best(records)
    assert kept - set(sorted(records)[-keep:]) <= {found}
    assert found is None or found in kept


def put_checkpoint(store: Store, step: int) -> None:
    store.put(f"checkpoints/{step}/00000-0000.safetensors", b"x")
    store.put(f"checkpoints/{step}/done.json", b"{}")


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    put_checkpoint(store, 3)
    for name in ("metrics.jsonl", "checkpoints/notes.txt", "checkpoints/x/a", "checkpoints/07/a", "6/a"):
        store.put(name, b"mine")
    wanted = names(tmp_path)
    store.put("checkpoints/6/00000-0000.safetensors", b"x")
    store.put("checkpoints/9/deep/er", b"x")
    (tmp_path / "checkpoints/12").mkdir()
    (tmp_path / "checkpoints/12/.00000-0000.safetensors.0123456789abcdef.spool").write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a").write_bytes(b"mine")
    (tmp_path / "checkpoints/15").symlink_to(tmp_path / "elsewhere")
    assert remove_leftovers(store) == [6, 9, 12]
    assert names(tmp_path) == wanted | {"elsewhere", "elsewhere/a", "checkpoints/15"}
    assert remove_leftovers(Store(str(tmp_path / "none"))) == []


def test_leftovers_in_a_bucket_are_removed() -> None:
    store = Store("memory://leftovers")
    put_checkpoint(store, 3)
    store.put("checkpoints/6/metadata.json", b"x")
    store.put("plan.json", b"x")
    assert remove_leftovers(store) == [6]
    assert sorted(name for name, _ in store.listing()) == [
        "checkpoints/3/00000-0000.safetensors",
        "checkpoints/3/done.json",
        "plan.json",
    ]
    remove(store, 3)
    assert steps_there(store) == []


def test_a_checkpoint_ends_with_its_record(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    put_checkpoint(store, 3)
    put_checkpoint(store, 6)
    remove(store, 3)
    remove(store, 4)
    assert steps_there(store) == [6] and not (tmp_path / "checkpoints/3").exists()
