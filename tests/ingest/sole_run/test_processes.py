"""A process that ended is distinguished from one that is there, and from one of another machine."""

import os
import subprocess
import sys

from tagmill.ingest.sole_run.processes import is_there, this_process

ME = "from tagmill.ingest.sole_run.processes import this_process; print(this_process())"


def test_this_process_is_there() -> None:
    mine = this_process()
    assert mine["pid"] == str(os.getpid())
    assert is_there(mine)


def test_an_ended_process_is_there_also_before_its_parent_notices() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"{ME}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        named = eval(child.stdout.readline())
        assert named["pid"] == str(child.pid)
        assert is_there(named)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
        assert is_there(named) is False
    assert is_there(named) is False


def test_a_number_that_another_process_has_now_does_not_count() -> None:
    mine = this_process()
    assert is_there({**mine, "begun": str(int(mine["begun"]) - 1)}) is False


def test_nothing_is_said_of_other_machines() -> None:
    assert is_there({**this_process(), "machine": "another", "pid": "0"}) is None
    assert is_there({}) is None
    assert is_there({"machine": this_process()["machine"], "pid": "none"}) is None
