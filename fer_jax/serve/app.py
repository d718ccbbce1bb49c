"""Make the web application: a page, its files, and the addresses that answer a photo and a camera's frame.

Starlette is imported when the application is made, so that nothing else waits for it or needs it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from fer_jax.serve.analyse import Refused
from fer_jax.serve.frames import AnalyseFrame
from fer_jax.serve.guard import guard

STATIC = Path(__file__).parent / "static"
MAX_BYTES = 25 * 2**20
SECONDS_TO_UPLOAD = 60
MAX_WAITING = 32
"""Uploads held at a time: 32 of 25 MiB take 800 MiB, and the last visitor waits for 31 others."""
MAX_FRAME_BYTES = 2**20
SECONDS_FOR_FRAME = 10
"""For a frame to arrive; a later one would be of the past."""
_MOST_PARTS, _LONGEST_HEAD = 16, 2**13
"""Parts of a form that are looked at for the picture, and bytes of a part's headers."""


def make_app(
    analyse: Callable[[bytes], dict[str, Any]],
    about: dict[str, Any],
    *,
    analyse_frame: AnalyseFrame,
    local_only: bool = True,
) -> Any:
    """Make the ASGI application.

    Args:
      analyse: bytes of a file -> answer, see ``analyse.make_analyse``. It is called for one picture after the
        other in a separate thread, so that the server stays ready.
      about: the content of GET /about.
      analyse_frame: bytes of a camera's frame, and whether it needs heat -> answer, see
        ``frames.make_analyse_frame``. It is called in the same thread.
      local_only: whether only this computer may reach the server; see ``guard``.
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import FileResponse, JSONResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    async def page(request):
        return FileResponse(STATIC / "index.html")

    async def get_about(request):
        return JSONResponse(about)

    worker = _Worker()
    return Starlette(
        routes=[
            Route("/", page),
            Route("/about", get_about),
            Route("/analyse", _make_answer(analyse, worker), methods=["POST"]),
            Route("/frame", _make_answer_frame(analyse_frame, worker), methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(guard, local_only=local_only)],
        exception_handlers=_error_handlers(),
    )


class _Worker:
    """One thread that looks at one picture after the other. Use it from the event loop.

    One is enough: the detector and the network each use all cores already, and only one picture of up to 50
    megapixels is in memory.
    """

    def __init__(self):
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="analyse")
        self._pictures = 0  # at work, and waiting

    def is_idle(self) -> bool:
        return self._pictures == 0

    async def call(self, function: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
        """Call the function in the thread, after those that were given before."""
        self._pictures += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        finally:
            self._pictures -= 1


def _make_answer(analyse: Callable[[bytes], dict[str, Any]], worker: _Worker) -> Callable:
    """Make the handler of an upload."""
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response

    places = asyncio.Semaphore(MAX_WAITING)

    async def answer(request):
        if places.locked():
            raise Refused(503, "Too many pictures are waiting already. Try again in a moment.")
        async with places:
            try:
                body = await _read(request, SECONDS_TO_UPLOAD, MAX_BYTES)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it
            kind = request.headers.get("content-type", "")
            if kind.lower().startswith("multipart/form-data"):
                body = file_in_form(body, kind)
            return JSONResponse(await worker.call(analyse, body))

    return answer


def _make_answer_frame(analyse_frame: AnalyseFrame, worker: _Worker) -> Callable:
    """Make the handler of a camera's frame.

    A frame is looked at only if nothing else is: it never waits, since what it shows is soon of the past, and
    a photo waits for one frame at most.
    """
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response

    places = asyncio.Semaphore(MAX_WAITING)
    busy = "The server is busy with other pictures."

    async def answer(request):
        if places.locked():
            raise Refused(503, busy)
        async with places:
            try:
                body = await _read(request, SECONDS_FOR_FRAME, MAX_FRAME_BYTES)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it
            if not worker.is_idle():
                raise Refused(503, busy)
            return JSONResponse(
                await worker.call(analyse_frame, body, request.query_params.get("heat") == "1")
            )

    return answer


async def _read(request: Any, seconds: float, most: int) -> bytes:
    """Read the body of a request. Raises Refused if it takes too long or is too large."""
    try:
        async with asyncio.timeout(seconds):
            return await read_body(request.stream(), request.headers.get("content-length"), most=most)
    except TimeoutError as error:
        raise Refused(408, f"The upload took longer than {seconds} seconds.") from error


def _error_handlers() -> dict[Any, Callable]:
    """Make the handler for each kind of exception."""
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse

    async def on_refused(request, error):
        return JSONResponse({"error": str(error)}, error.status)

    async def on_http_error(request, error):
        return JSONResponse({"error": f"{error.detail}."}, error.status_code, error.headers)

    async def on_bug(request, error):
        return JSONResponse({"error": "Something went wrong here, not with your picture."}, 500)

    return {Refused: on_refused, HTTPException: on_http_error, Exception: on_bug}


async def read_body(parts: AsyncIterator[bytes], declared: str | None, *, most: int) -> bytes:
    """Join the ``parts`` of a body of at most ``most`` bytes; no more than that is ever held.

    ``declared`` is the length that the client gives, None if it gives none. Raises Refused if the body or
    its declared length is longer.
    """
    too_long = Refused(413, f"The file is too large; at most {most / 2**20:.0f} MB.")
    if declared is not None and declared.isdigit() and int(declared) > most:
        raise too_long
    body = bytearray()
    async for part in parts:
        if len(body) + len(part) > most:
            raise too_long
        body += part
    return bytes(body)


def file_in_form(body: bytes, content_type: str) -> bytes:
    """Return the first file in a form of the type multipart/form-data (RFC 7578), as ``curl -F`` sends it.

    Starlette's own parser would write a large file to disk. Raises Refused if the form has no file.
    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_boundary()
    if boundary:
        # What is before the first boundary, and behind the last one, is not part of the form.
        mark = b"\r\n--" + boundary.encode("latin-1", "replace")
        for part in (b"\r\n" + body).split(mark, _MOST_PARTS)[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            if len(head) <= _LONGEST_HEAD and BytesHeaderParser().parsebytes(head.lstrip()).get_filename():
                return content
    raise Refused(400, "The form has no file. With curl: -F picture=@photo.jpg")
