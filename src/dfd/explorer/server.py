"""The explorer's page and its JSON, served to this machine alone.

GET / the page; /about, /layout/<name>: JSON; /photo/<row>: a picture. POST /look, a recipe as JSON: `weights` by row and
`axes`. The standard library suffices: one page, one user.
"""

import base64
import errno
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from dfd.core.errors import DfdError
from dfd.explorer.space import Recipe, Space

ADDRESS = "127.0.0.1"
LONGEST = 1 << 22  # bytes of a request: a selection of all rows that a map shows
# Nothing from elsewhere, and no other site's page may show or read this one.
POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'"


class Explorer(ThreadingHTTPServer):
    """The server of a space, bound when made; port 0 takes a free one. Raises DfdError where the port is taken."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, space: Space, port: int):
        self.space = space
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            taken = getattr(error, "errno", None) == errno.EADDRINUSE
            reason = "is in use" if taken else f"cannot be had ({error})"
            raise DfdError(
                f"port {port} of {ADDRESS} {reason}; name another with --port, or 0 for a free one"
            ) from error

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Explorer

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._look)

    def _answer(self, find) -> None:
        try:
            # Another site's page may be resolved to this address: only by our own name do we answer.
            if self.headers.get("Host") not in {f"{name}:{self.server.server_port}" for name in (ADDRESS, "localhost")}:
                return self._send(403, "text/plain", b"this page is for this machine")
            answer = find()
            if answer is None:
                return self._send(404, "text/plain", b"not here")
            kind, content = answer
            self._send(200, kind, content if isinstance(content, bytes) else json.dumps(content).encode())
        except DfdError as error:
            self._send(400, "text/plain; charset=utf-8", str(error).encode())
        except (BrokenPipeError, ConnectionResetError):
            pass  # the page was closed

    def _get(self) -> tuple[str, object] | None:
        space, (place, _, name) = self.server.space, self.path[1:].partition("/")
        if self.path == "/":
            return "text/html; charset=utf-8", Path(__file__).with_name("page.html").read_bytes()
        if self.path == "/about":
            return "application/json", space.about()
        if place == "layout":
            return "application/json", space.layout(name).round(5).tolist()
        if place == "photo" and name.isdigit() and (photo := space.photo(int(name))) is not None:
            return "image/png", photo
        return None

    def _look(self) -> tuple[str, object] | None:
        if self.path != "/look":
            return None
        try:
            length = int(self.headers.get("Content-Length", 0))
            if not 0 < length <= LONGEST:
                raise ValueError(f"{length} bytes")
            asked = json.loads(self.rfile.read(length))
            weights = {int(row): float(weight) for row, weight in asked["weights"].items()}
            recipe = Recipe(weights, [float(amount) for amount in asked.get("axes", [])])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DfdError(f"not a recipe: {error}") from error
        decoded = self.server.space.look(recipe)
        faces = {
            name: f"data:image/png;base64,{base64.b64encode(face).decode()}" for name, face in decoded["faces"].items()
        }
        return "application/json", decoded | {"faces": faces}

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        pass
