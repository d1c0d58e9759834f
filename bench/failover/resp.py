"""As much of Redis' protocol as writing numbers needs."""
import socket

TAG = "{bench}"


class Moved(Exception):
    """Another node has the slot."""


class Node:
    """A connection to one server."""

    def __init__(self, host, port, password=None):
        self.socket = socket.create_connection((host, port), timeout=1)
        self.file = self.socket.makefile("rb")
        if password:
            self.ask("AUTH", password)

    def ask(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self.answer()

    def answer(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Moved(rest.decode().split()[2]) if rest.startswith(b"MOVED") else OSError(rest.decode())
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
        return int(rest) if kind == b":" else rest

    def write(self, number):
        self.ask("SET", f"{TAG}:{number}", number)

    def held(self):
        cursor, held = b"0", set()
        while True:
            cursor, keys = self.ask("SCAN", cursor, "MATCH", f"{TAG}:*", "COUNT", 1000)
            held.update(int(key.rsplit(b":", 1)[1]) for key in keys)
            if cursor == b"0":
                return held

    def close(self):
        self.socket.close()
