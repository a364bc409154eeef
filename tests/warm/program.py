"""`program.py SOCKET ARGUMENT...`: has the server beside this file run `python ARGUMENT...`, and ends as that process ends.

Signals that can be caught are passed on, and the process does not outlive this one. Imports nothing that takes time.
"""

import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main() -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(sys.argv[1])
        told = json.dumps([sys.argv[2:], os.path.realpath("."), dict(os.environ)]).encode()
        socket.send_fds(link, [len(told).to_bytes(8, "big")], [0, 1, 2])
        link.sendall(told)
        answers = link.makefile("rb")
        process = int(answers.readline())
        for number in PASSED_ON:
            signal.signal(number, lambda given, _: os.kill(process, given))
        link.sendall(b"\n")
        status = int(answers.readline() or signal.SIGKILL)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
