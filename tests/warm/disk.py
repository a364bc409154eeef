"""Processes of tests do not wait until the disk has what they wrote, which takes longer than most of their work."""

import os


def leave_out_synchronising() -> None:
    """For this process and those that it forks. Only a loss of power could show what was not synchronised: what a killed
    process wrote is in the system's memory."""
    os.fsync = lambda descriptor: None
