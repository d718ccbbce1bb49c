"""``--mode=serve``: serve a web page that names the expressions of faces in a picture."""

import functools
import ipaddress
import os
import socket
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from fer_jax.checkpoints.choose import choose_all, propose_for_photos, views_of_photos
from fer_jax.data import photos
from fer_jax.data.detectors import make_detector
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.runtime import signals
from fer_jax.runtime.command import Command
from fer_jax.runtime.files import os_reason
from fer_jax.runtime.progress import announced
from fer_jax.serve import frames
from fer_jax.serve.about import about
from fer_jax.serve.analyse import BATCH, Network, look_at, make_analyse, make_network

_SECONDS_TO_FINISH = 3


def run(command: Command) -> None:
    """Serve the page at ``serve.host`` and ``serve.port`` of the config until a signal comes.

    If the workdir holds runs of several seeds, average their probabilities.

    Raises:
      UserError: no checkpoint, a library is missing, or the address cannot be used.
      signals.Stopped: a signal came; answers under way had a few seconds.
    """
    detector, whole = command.config["detector"], command.config["faces"] == "whole"
    make_detector(detector)
    uvicorn = _import_uvicorn()
    from fer_jax.serve.app import make_app

    classifiers = choose_all(command)
    propose_for_photos(command)
    address = command.config["serve"]
    with _bind(address["host"], address["port"]) as listener:
        views = [views_of_photos(c.config, command.overrides) for c in classifiers]
        pairs = [(c.on_device(), v) for c, v in zip(classifiers, views, strict=True)]
        networks = [make_network(c, views=v) for c, v in pairs]
        quick = [make_network(c, views=v, heat=False) for c, v in pairs]
        with announced("compiling the network"):
            has_heat = _compile(networks, BATCH)
            _compile(quick, frames.BATCH)
        content = about(command.workdir.name, classifiers, has_heat=has_heat)
        _listen(listener)
        _announce(listener)
        labels, find = classifiers[0].labels, functools.partial(photos.faces_of, detector=detector)
        app = make_app(
            make_analyse(networks, labels, find=functools.partial(find, whole=whole)),
            content,
            analyse_frame=frames.make_analyse_frame(quick, networks, labels, find=find),
            local_only=_is_local(listener),
        )
        _run(uvicorn, app, listener)


def _compile(networks: Sequence[Network], batch: int) -> bool:
    """Compile the networks for ``batch`` faces, before a visitor waits for it; whether they give heat."""
    _, heat = look_at(networks, np.zeros((batch, SIDE, SIDE, 1), np.uint8), batch=batch)
    return heat is not None


def _bind(host: str, port: int) -> socket.socket:
    """Make a socket with the address that does not listen yet: no visitor should wait for a compilation."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # on Windows the option lets processes share the port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise _no_address(host, port, error) from error
    except UnicodeError as error:
        raise UserError(f"config.serve.host is {host!r}; expected an address such as 127.0.0.1") from error
    return listener


def _listen(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    try:
        listener.listen(128)
    except OSError as error:  # another process listens there by now
        raise _no_address(host, port, error) from error


def _no_address(host: str, port: int, error: OSError) -> UserError:
    return UserError(
        f"cannot listen on {host}, port {port}: {os_reason(error)}; "
        "choose another by --config.serve.host or --config.serve.port"
    )


def _is_local(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _announce(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    if not _is_local(listener):
        risk = "anybody on the network can use this page, and pictures travel to it unencrypted"
        print(f"warning: {risk}; see docs/serve.md")
    if ipaddress.ip_address(host).is_unspecified:  # all addresses of this computer, and none to open
        print(f"other computers open http://{socket.gethostname()}:{port}")
        host = "127.0.0.1"
    print(f"serving on http://{f'[{host}]' if ':' in host else host}:{port} (Ctrl-C ends it)", flush=True)


def _import_uvicorn() -> Any:
    try:
        import starlette.applications  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UserError(
            "--mode=serve needs Starlette and uvicorn: pip install -r requirements-serve.txt"
        ) from error
    return uvicorn


def _run(uvicorn: Any, app: Any, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        access_log=False,  # visits are private
        log_level="warning",
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
    )
    server = uvicorn.Server(config)
    # In the main thread, uvicorn would handle signals in its own way.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    with signals.noted_signals(save=False) as number:
        thread.start()
        while thread.is_alive() and not number():
            thread.join(0.1)
        server.should_exit = True
        thread.join(_SECONDS_TO_FINISH + 1)
        if number():
            raise signals.Stopped(number())
