"""A service of object storage in this process, on 127.0.0.1, which fails as often as a test asks it to.

    python tests/serve_objects.py s3                    moto's
    python tests/serve_objects.py gs                    moto's behind the XML API of Google
    python tests/serve_objects.py az PORT ACCOUNT KEY   Azurite's, which listens on PORT

It says on stdout on which port it listens. Google's own emulators are for its JSON API, obstore speaks the XML one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import itertools
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote

from werkzeug.serving import make_server
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

_SIGNED = "AWS4-HMAC-SHA256 Credential=nobody/20261129/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none"


class Engine(Protocol):
    """What answers, and knows how its buckets are made; `busy` is the status by which it asks for patience."""

    busy: int

    def make_bucket(self, name: str) -> None: ...

    def answer(self, request: Request) -> Response: ...


class Amazon:
    """moto's service of S3."""

    busy = 503

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app

        self._application = DomainDispatcherApplication(create_backend_app)

    def make_bucket(self, name: str) -> None:
        Client(self._application).put(f"/{name}")

    def answer(self, request: Request) -> Response:
        return Response.from_app(self._application, request.environ, buffered=True)


class Google(Amazon):
    """The same as Google's XML API has it: every write has a generation of its own, which a condition names, 0 where
    there is to be no object; and to remove what is not there is an error."""

    busy = 429  # as of an object that is written to more than once in a second

    def __init__(self) -> None:
        super().__init__()
        self._generations: dict[str, int] = {}
        self._next = itertools.count(time.time_ns() // 1000)
        self._writing = threading.Lock()

    def answer(self, request: Request) -> Response:
        # In place of a bearer's, and of a path whose dashes are escaped, in which moto finds no bucket.
        request.environ |= {"HTTP_AUTHORIZATION": _SIGNED, "RAW_URI": quote(request.path)}
        with self._writing:
            there = self._generations.get(request.path, 0)
            asked = request.headers.get("x-goog-if-generation-match", type=int)
            if asked is not None and asked != there:
                return _refused(412, "PreconditionFailed", "At least one of the pre-conditions did not hold.")
            if request.method == "DELETE" and not there and "uploadId" not in request.args:
                return _refused(404, "NoSuchKey", "The specified key does not exist.")
            answer = super().answer(request)
            if answer.status_code < 300:
                self._note(request)
            if request.path in self._generations:
                answer.headers["x-goog-generation"] = str(self._generations[request.path])
            return answer

    def _note(self, request: Request) -> None:
        is_whole = request.method == "PUT" and "partNumber" not in request.args
        if is_whole or (request.method == "POST" and "uploadId" in request.args):
            self._generations[request.path] = next(self._next)
        elif request.method == "DELETE" and "uploadId" not in request.args:
            self._generations.pop(request.path, None)


class Azure:
    """Azurite, which is asked what this process is asked."""

    busy = 503

    def __init__(self, port: str, account: str, key: str) -> None:
        self._port, self._account, self._key = int(port), account, base64.b64decode(key)

    def make_bucket(self, name: str) -> None:
        # https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key: eleven headers that are blank
        headers = {"x-ms-date": f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S GMT}", "x-ms-version": "2021-08-06"}
        told = [f"{header}:{value}" for header, value in headers.items()]
        text = "\n".join(["PUT", *[""] * 11, *told, f"/{self._account}/{self._account}/{name}", "restype:container"])
        signed = base64.b64encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest()).decode()
        headers["Authorization"] = f"SharedKey {self._account}:{signed}"
        made = self._asked("PUT", f"/{self._account}/{name}?restype=container", b"", headers)
        assert made.status_code == 201, made.data

    def answer(self, request: Request) -> Response:
        return self._asked(request.method, request.environ["REQUEST_URI"], request.get_data(), dict(request.headers))

    def _asked(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> Response:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as azurite:
            azurite.request(method, path, content, headers)
            found = azurite.getresponse()
            kept = [(name, value) for name, value in found.getheaders() if name.lower() != "transfer-encoding"]
            return Response(found.read(), found.status, kept)


def _refused(status: int, code: str, message: str) -> Response:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(body, status, mimetype="application/xml")


class Service:
    """An engine as an application of WSGI: of its requests, each of a number that a test has named fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._fails_every, self._asked = 0, itertools.count(1)

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        return self._answer(Request(environ))(environ, start)

    def _answer(self, request: Request) -> Response:
        what, _, value = request.path.removeprefix("/").partition("/")
        if what == "_fail":
            self._fails_every = int(value)
        elif what == "_make":
            self._engine.make_bucket(value)
        elif next(self._asked) % (self._fails_every or sys.maxsize):
            return self._engine.answer(request)
        else:
            request.get_data()
            return Response(status=self._engine.busy)
        return Response()


def main(engine: str, *place: str) -> None:
    """Answers until it is ended."""
    made = {"s3": Amazon, "gs": Google, "az": Azure}[engine](*place)
    server = make_server("127.0.0.1", 0, Service(made), threaded=True)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
