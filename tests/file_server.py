"""A real HTTP server on 127.0.0.1 that serves bytes from memory, as well or as badly as a test asks."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves `files` by path, with Range support.

    cuts       how many bytes of each answer to send before closing the connection, answer by answer
    ranges     False: every answer is the whole file
    redirects  path → where it says to look instead
    codes      path → status to answer with
    hang       a moment that answers wait for
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.ranges = True
        self.redirects: dict[str, str] = {}
        self.codes: dict[str, int] = {}
        self.hang: threading.Event | None = None
        self.seen: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has left is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.seen.append((self.path, wanted))
        if self.server.hang is not None:
            self.server.hang.wait(10)
        if self.path in self.server.redirects:
            self.answer(302, b"", Location=self.server.redirects[self.path])
        elif self.path in self.server.codes or self.path not in self.server.files:
            self.answer(self.server.codes.get(self.path, 404), b"no")
        else:
            self.give(self.server.files[self.path], wanted if self.server.ranges else None)

    def give(self, body: bytes, wanted: str | None) -> None:
        if wanted is None:
            self.answer(200, body)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
        if start >= len(body):
            self.answer(416, b"", **{"Content-Range": f"bytes */{len(body)}"})
        else:
            given = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.answer(206, body[start:], **{"Content-Range": given})

    def answer(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts and code in (200, 206) else len(body)
        self.wfile.write(body[:cut])
        if cut < len(body):
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Tests read `seen`."""


@contextlib.contextmanager
def file_server() -> Iterator[FileServer]:
    """A running server, stopped at the end."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
