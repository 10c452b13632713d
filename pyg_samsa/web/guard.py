"""What every request must fulfil, and the headers of every answer."""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline';"
    " img-src 'self' data: blob:; connect-src 'self'; frame-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of the page. Drawings have style attributes, which cannot run anything; there are no inline scripts."""
EDITOR_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""Of the frame with the drawing editor, whose code evaluates its parts. It can reach no server, and shows no texts."""
EDITOR = ("/editor", "/static/jsme/")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_SAFE = ("GET", "HEAD", "OPTIONS")
_OVERHEAD = 2**20


class Guard:
    """ASGI middleware: refuses requests of other sites and large ones, and adds headers of security.

    A page of another site can send requests to this computer, though it cannot read the answers. Its requests carry
    the header ``Origin``, which must be the host that they are sent to. Another site could also give its own name the
    address of this computer (DNS rebinding), so the name of the host must be known. An address in place of a name
    cannot be rebound.

    Args:
        app: What answers.
        max_bytes: Largest body of a request.
        hosts: Names and addresses of the server.
        any_address: Whether every address is one of the server, because it listens on all that this computer has.

    Example:
        >>> guard = Guard(None, 10, ["127.0.0.1"])
        >>> guard.knows("127.0.0.1:8000"), guard.knows("evil.example")
        (True, False)
    """

    def __init__(self, app: Any, max_bytes: int, hosts: Collection[str], *, any_address: bool = False) -> None:
        self.app, self.max_bytes, self.any_address = app, max_bytes, any_address
        self.hosts = {host.lower() for host in hosts}

    def knows(self, host: str) -> bool:
        """Return whether a header ``Host`` names this server.

        Args:
            host: Name or address, with or without a port.

        Example:
            >>> Guard(None, 10, [], any_address=True).knows("[2001:db8::1]:8000")
            True
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.hosts or (self.any_address and _is_address(name))

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        answer = _with_headers(send, scope["path"])
        refusal = self._refusal(scope["method"], given)
        if refusal is not None:
            await _refuse(answer, *refusal)
            return
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if self._exceeds(seen):
                raise _TooLargeError
            return message

        async def unless_too_large(message: Message) -> None:
            # The application takes the error for one of the form, and answers that.
            if not self._exceeds(seen):
                await answer(message)

        with contextlib.suppress(_TooLargeError):
            await self.app(scope, bounded, unless_too_large)
        if self._exceeds(seen):
            await _refuse(answer, *self._too_large())

    def _exceeds(self, size: int) -> bool:
        return size > self.max_bytes + _OVERHEAD

    def _refusal(self, method: str, given: dict[str, str]) -> tuple[int, str, str] | None:
        if not self.knows(given.get("host", "")):
            return 400, "the name of the host is not that of this server", "Open the address that the server printed."
        if method not in _SAFE:
            origin = given.get("origin")
            foreign = origin is not None and urlsplit(origin).netloc != given.get("host")
            if foreign or given.get("sec-fetch-site") in ("cross-site", "same-site"):
                return 403, "this request comes from another site", "Open the page of the server itself."
        length = given.get("content-length", "0")
        if length.isdigit() and self._exceeds(int(length)):
            return self._too_large()
        return None

    def _too_large(self) -> tuple[int, str, str]:
        hint = "Split the file, or start pyg-samsa serve with a larger --max-mb."
        return 413, f"the request has more than {self.max_bytes / 2**20:,.0f} MB", hint


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _TooLargeError(Exception):
    """A body is larger than it said."""


def _with_headers(send: Any, path: str) -> Any:
    policy = EDITOR_POLICY if path.startswith(EDITOR) else POLICY
    added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
    added.append((b"content-security-policy", policy.encode()))

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *added]
        await send(message)

    return answer


async def _refuse(answer: Any, status: int, error: str, hint: str) -> None:
    body = json.dumps({"error": error, "hint": hint}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await answer({"type": "http.response.start", "status": status, "headers": headers})
    await answer({"type": "http.response.body", "body": body})
