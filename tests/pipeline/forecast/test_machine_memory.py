"""The memory of a machine, and of a container on it."""

from pathlib import Path

from tagmill.pipeline.forecast.machine_memory import machine_memory


def test_a_container_may_have_less(tmp_path: Path) -> None:
    machine = machine_memory(tmp_path / "missing")
    assert machine > 1 << 27
    limit = tmp_path / "memory.max"
    for text, expected in [("max\n", machine), ("4096\n", 4096), (f"{machine * 2}\n", machine)]:
        limit.write_text(text)
        assert machine_memory(limit) == expected
