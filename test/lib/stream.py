#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stream.py URL SCRIPT: the far end of a kubelet's exec or attach, by websocket.

Asks URL for v4.channel.k8s.io and does what SCRIPT says, a word and a text a line:

	send TEXT	to standard input; \\n and \\xNN as in Python
	out REGEX	wait until the standard output since the last match matches
	err REGEX	the same of the standard error
	resize ROWSxCOLS
	end		wait for the end, print the exit code

Whatever is waited for may take 20 s. Exit code 0: all of it came true; else 1, and
stdout says why.
"""
import base64, json, os, re, socket, struct, sys, urllib.parse

IN, OUT, ERR, STATUS, SIZE = range(5)
PROTOCOL = "v4.channel.k8s.io"
BINARY, CLOSE, PING, PONG = 2, 8, 9, 10


class Stream:
    def __init__(self, url):
        at = urllib.parse.urlsplit(url)
        self.text = {OUT: b"", ERR: b"", STATUS: b""}
        self.ended = False
        self.data = b""
        self.fd = socket.create_connection((at.hostname, at.port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.fd.sendall((
            f"GET {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nOrigin: http://{at.netloc}\r\n"
            f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n").encode())
        head = self.until(b"\r\n\r\n").decode()
        if " 101 " not in head.splitlines()[0] or PROTOCOL not in head:
            raise ValueError("refused: " + head.splitlines()[0])

    def more(self):
        data = self.fd.recv(65536)
        if not data:
            raise ValueError("the connection was closed")
        self.data += data

    def until(self, mark):
        while mark not in self.data:
            self.more()
        head, self.data = self.data.split(mark, 1)
        return head

    def take(self, n):
        while len(self.data) < n:
            self.more()
        head, self.data = self.data[:n], self.data[n:]
        return head

    def put(self, kind, data):
        size = struct.pack("!B", 128 | len(data)) if len(data) < 126 else \
            struct.pack("!BH", 128 | 126, len(data))
        mask = os.urandom(4)
        self.fd.sendall(struct.pack("!B", 128 | kind) + size + mask +
                        bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def turn(self):
        kind, size = struct.unpack("!BB", self.take(2))
        if size == 126:
            size, = struct.unpack("!H", self.take(2))
        elif size == 127:
            size, = struct.unpack("!Q", self.take(8))
        data = self.take(size)
        kind &= 15
        if kind == PING:
            self.put(PONG, data)
        elif kind == CLOSE:
            self.ended = True
        elif data and data[0] in self.text:
            self.text[data[0]] += data[1:]

    def expect(self, channel, regex):
        while not (found := re.search(regex.encode(), self.text[channel])):
            if self.ended:
                raise ValueError(f"no {regex!r} in {self.text[channel]!r}")
            self.turn()
        self.text[channel] = self.text[channel][found.end():]

    def end(self):
        while not self.ended and not self.text[STATUS].endswith(b"}"):
            self.turn()
        status = json.loads(self.text[STATUS])
        if status["status"] == "Success":
            return 0
        if status.get("reason") != "NonZeroExitCode":
            raise ValueError(status.get("message"))
        return int(status["details"]["causes"][0]["message"])

    def do(self, word, text):
        if word == "send":
            self.put(BINARY, bytes([IN]) + text.encode().decode("unicode_escape").encode("latin1"))
        elif word == "out" or word == "err":
            self.expect(OUT if word == "out" else ERR, text)
        elif word == "resize":
            rows, cols = text.split("x")
            size = json.dumps({"Width": int(cols), "Height": int(rows)})
            self.put(BINARY, bytes([SIZE]) + size.encode())
        elif word == "end":
            print(self.end())
        else:
            raise ValueError("no such word: " + word)


def main():
    line = ""
    try:
        stream = Stream(sys.argv[1])
        for line in sys.argv[2].splitlines():
            stream.do(*line.strip().partition(" ")[::2])
    except (OSError, ValueError, KeyError) as e:
        print(f"{line.strip()}: {e}")
        return 1
    return 0


sys.exit(main())
