"""Check every request before it reaches the application, and set the headers of every answer."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Answers hold parts of the picture, which browsers must not keep either.
    "cache-control": "no-store",
}


def guard(app: Any, *, local_only: bool) -> Any:
    """Make ASGI middleware that refuses requests from pages of other servers and sets ``HEADERS``.

    Args:
      app: the application.
      local_only: whether the server listens to this computer alone. Then the Host header of a request must
        name this computer: a foreign page that reaches it by DNS rebinding sends its own host name.
    """
    from starlette.datastructures import Headers, MutableHeaders
    from starlette.responses import JSONResponse

    async def guarded(scope, receive, send):
        if scope["type"] != "http":
            await app(scope, receive, send)
            return

        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers, answer = Headers(scope=scope), app
        if local_only and not names_this_computer(headers.get("host", "")):
            answer = JSONResponse({"error": "This page answers only at localhost and 127.0.0.1."}, 421)
        elif scope["method"] not in ("GET", "HEAD") and not is_own_page(headers):
            answer = JSONResponse({"error": "Pictures are accepted only from this page."}, 403)
        await answer(scope, receive, send_with_headers)

    return guarded


def names_this_computer(host: str) -> bool:
    """Whether a Host header is ``localhost`` or a loopback address, with or without a port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_own_page(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from this server's page, or from no page at all (a command line).

    Browsers send Sec-Fetch-Site to addresses that they trust (https, this computer), and Origin to others. A
    page cannot change either.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == headers.get("host")
    except ValueError:  # not an address
        return False
