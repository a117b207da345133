import threading
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from training.data import fetch


class Site(ThreadingHTTPServer):
    """A web site on loopback that breaks off and refuses as it is told."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.breaks: list[int] = []
        """Number of bytes after which each of the next answers breaks off."""
        self.statuses: list[int] = []
        """Of the next answers, instead of the file."""
        self.ranges_requested: list[str | None] = []
        """The `Range` of each request."""
        self.users: list[str | None] = []
        """The user and password of each request."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Page(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        range_header, user = self.headers["Range"], self.headers["Authorization"]
        self.server.ranges_requested.append(range_header)
        self.server.users.append(b64decode(user.removeprefix("Basic ")).decode() if user else None)
        body = self.server.files.get(self.path)
        if self.server.statuses or body is None:
            return self._answer(self.server.statuses.pop(0) if body is not None else 404, b"")
        has_start = range_header and self.server.ranges
        start = int(range_header.removeprefix("bytes=").removesuffix("-")) if has_start else 0
        if start and start >= len(body):
            return self._answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        self._answer(206 if start else 200, body[start:])

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ((headers or {}) | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: self.server.breaks.pop(0) if body and self.server.breaks else None])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(fetch, "RETRY_DELAY_SECONDS", 0)
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.shutdown()
        thread.join()
