"""`program.py SOCKET ARGUMENT...`: has the server beside this file run `python ARGUMENT...`, and ends as that process ends.

Signals that can be caught are passed on, and the process does not outlive this one. Imports nothing that takes time.
"""

import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main() -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(sys.argv[1])
        told = json.dumps([sys.argv[2:], os.path.realpath("."), dict(os.environ)]).encode()
        socket.send_fds(link, [len(told).to_bytes(8, "big")], [0, 1, 2])
        link.sendall(told)
        process = int(line(link))
        caught, woken = os.pipe()
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        for number in PASSED_ON:
            signal.signal(
                number, lambda *_: None
            )  # its number goes to `caught`, also where it comes just before the wait
        link.sendall(b"\n")
        status = int(passing_on(link, caught, process) or signal.SIGKILL)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(os.waitstatus_to_exitcode(status))


def line(link: socket.socket) -> bytes:
    """Reads a line and nothing beyond it; the other end may close before."""
    data = b""
    while not data.endswith(b"\n") and (part := link.recv(1)):
        data += part
    return data


def passing_on(link: socket.socket, caught: int, process: int) -> bytes:
    """Waits for the line that says how the process ended, and passes signals on meanwhile."""
    while True:
        ready, _, _ = select.select([link, caught], [], [])
        if link in ready:
            return line(link)
        for number in os.read(caught, 64):
            with suppress(ProcessLookupError):
                os.kill(process, number)


if __name__ == "__main__":
    main()
