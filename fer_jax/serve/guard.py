"""What every request passes before it reaches the application, and every answer on its way back."""

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
    # Answers hold pieces of the picture, which no browser shall keep either.
    "cache-control": "no-store",
}


def guard(app: Any, *, local_only: bool) -> Any:
    """ASGI middleware: refuses what comes from pages of others, and sets ``HEADERS``.

    Args:
      app: the application.
      local_only: whether the server listens to this computer alone. Then a request must name it as such:
        a page from elsewhere whose name was made to point here (DNS rebinding) names its own host.
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

        headers = Headers(scope=scope)
        if local_only and not names_this_computer(headers.get("host", "")):
            refusal = JSONResponse({"error": "This page answers to localhost and 127.0.0.1 alone."}, 421)
            await refusal(scope, receive, send_with_headers)
        elif scope["method"] not in ("GET", "HEAD") and not is_own_page(headers):
            refusal = JSONResponse({"error": "Pictures are taken from this page alone."}, 403)
            await refusal(scope, receive, send_with_headers)
        else:
            await app(scope, receive, send_with_headers)

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

    Browsers tell by Sec-Fetch-Site where the address is a safe one (https, this computer), and by Origin
    elsewhere; a page cannot change either.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == headers.get("host")
    except ValueError:  # no address
        return False
