"""Runs a command in a pseudo terminal of its own, which Node cannot make by itself.

terminal.py COLUMNS ROWS COMMAND...

What the command writes goes to stdout. Commands on stdin, a line of JSON each: {"type": TEXT}, {"resize": [COLUMNS, ROWS]},
{"close": true} as when the window of the terminal is closed. The first line on stderr is the command's pid, the last one how
it ended: {"code": N} or {"signal": N}.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios


def set_size(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def main():
    size = [int(word) for word in sys.argv[1:3]]
    pid, master = pty.fork()
    if pid == 0:
        set_size(0, *size)
        os.execvp(sys.argv[3], sys.argv[3:])
    write_all(2, b"%d\n" % pid)
    requests = b""
    sources = [master, 0]
    while master in sources:
        for fd in select.select(sources, [], [])[0]:
            try:
                data = os.read(fd, 65536)
            except OSError:
                # Linux: the other end is closed.
                data = b""
            if fd == master and data:
                write_all(1, data)
            elif not data:
                sources.remove(fd)
            else:
                *lines, requests = (requests + data).split(b"\n")
                for request in map(json.loads, lines):
                    if "type" in request:
                        write_all(master, request["type"].encode())
                    if "resize" in request:
                        set_size(master, *request["resize"])
                    # The command may have ended by itself, and closed its side, just before.
                    if "close" in request and master in sources:
                        os.close(master)
                        sources.remove(master)
    _, status = os.waitpid(pid, 0)
    end = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"code": os.WEXITSTATUS(status)}
    write_all(2, json.dumps(end).encode() + b"\n")


main()
