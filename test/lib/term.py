#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""term.py SCRIPT COMMAND...: somebody at a terminal.

Runs COMMAND on a terminal of its own and does what SCRIPT says, a word and a text a line:

	expect REGEX	wait until the output since the last one matches, 20 s at most
	send TEXT	type it; \\n and \\xNN as in Python
	resize ROWSxCOLS
	count BYTES	read that many 'u', 60 s at most
	slow SECONDS	read nothing for so long
	leave		kill the command, as a lost connection does
	end		wait for its end, print its exit code

The output goes to stderr. Exit code 0: all of it came true; else 1, and stdout says why.
"""
import fcntl, os, pty, re, select, signal, struct, sys, termios, time


class Term:
    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        self.text = b""
        self.code = None
        self.nudge = None  # when to say again that there is a new size

    def read(self, until):
        # ctr listens for the signal only a moment after its first look at the size.
        if self.nudge and time.monotonic() >= self.nudge:
            os.kill(self.pid, signal.SIGWINCH)
            self.nudge = time.monotonic() + 0.5
        left = until - time.monotonic()
        if left <= 0 or not select.select([self.fd], [], [], left)[0]:
            return False
        try:
            got = os.read(self.fd, 65536)
        except OSError:
            return False
        os.write(2, got if len(got) < 4096 else b"(%d bytes)" % len(got))
        self.text += got
        return bool(got)

    def expect(self, text):
        until = time.monotonic() + 20
        while True:
            m = re.search(text.encode(), self.text)
            if m:
                self.text = self.text[m.end():]
                return True
            if not self.read(until):
                return False

    def send(self, text):
        os.write(self.fd, text.encode().decode("unicode_escape").encode("latin1"))
        return True

    def resize(self, text):
        rows, cols = map(int, text.split("x"))
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)
        self.nudge = time.monotonic() + 0.5
        return True

    def count(self, text):
        until = time.monotonic() + 60
        n = self.text.count(b"u")
        while n < int(text):
            self.text = b""
            if not self.read(until):
                print("only %d bytes came" % n)
                return False
            n += self.text.count(b"u")
        return n == int(text)

    def slow(self, text):
        time.sleep(float(text))
        return True

    def leave(self, _):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        return True

    def end(self, _):
        until = time.monotonic() + 20
        while self.read(until):
            pass
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                print(os.waitstatus_to_exitcode(status))
                return True
            time.sleep(0.02)
        os.kill(self.pid, signal.SIGKILL)
        return False


def main():
    term = Term(sys.argv[2:])
    for line in sys.argv[1].splitlines():
        word, _, text = line.strip().partition(" ")
        if word and not getattr(term, word)(text):
            print("%s %s: no; last: %r" % (word, text, term.text[-300:]))
            return 1
    return 0


sys.exit(main())
