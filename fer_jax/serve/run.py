"""``--mode=serve``: a web page that names the faces in a picture."""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fer_jax.check_config import views_in_pictures
from fer_jax.data import photos
from fer_jax.data.compressed import os_reason
from fer_jax.errors import UserError
from fer_jax.evaluate import run as run_evaluate
from fer_jax.explain.saliency import grad_cam_layer, make_grad_cam
from fer_jax.labels import SIDE
from fer_jax.models import count_parameters, create_model
from fer_jax.serve.about import about
from fer_jax.serve.analyse import BATCH, Network, look_at, make_analyse, make_look
from fer_jax.train import seeds as run_seeds

_SECONDS_TO_FINISH = 5


def serve(
    where: Path, given: Mapping[str, Any], overrides: list[str], *, shipped_name: str | None = None
) -> None:
    """Serves the page until Ctrl-C, at the address that ``serve.host`` and ``serve.port`` name.

    Args:
      where: the workdir whose best checkpoint is used, or those of its seeds.
      given: the command's config.
      overrides: the fields that the command line set.
      shipped_name: see ``choose_weights``.

    Raises:
      UserError: no checkpoint, a library is missing, or the address cannot be had.
    """
    photos.import_opencv()
    uvicorn = _import_uvicorn()
    from fer_jax.serve.app import make_app

    # Of several seeds the ensemble: the mean of their probabilities.
    loaded = run_seeds.load_members(where, given, overrides, shipped_name=shipped_name)
    with (
        contextlib.suppress(KeyboardInterrupt),
        _bind(given["serve"]["host"], given["serve"]["port"]) as listener,
    ):
        networks = [
            _make_network(weights, config, views=views_in_pictures(config, overrides))
            for weights, config, _ in loaded
        ]
        _, heat = look_at(networks, np.zeros((BATCH, SIDE, SIDE, 1), np.uint8))  # compiles
        what = _about(where.name, loaded, has_heat=heat is not None)
        _listen(listener)
        _announce(listener)
        app = make_app(make_analyse(networks), what, local_only=_is_local(listener))
        _run(uvicorn, app, listener)
    print("\nstopped")


def _make_network(weights: Any, config: Mapping[str, Any], *, views: str) -> Network:
    model = create_model(config["model"], config[config["model"]])
    forward = run_evaluate.make_forward(weights, config, views=views)
    grad_cam = None
    if grad_cam_layer(model):  # an MLP has no feature maps
        grad_cam = make_grad_cam(model=model, normalize_kind=config["normalize"])
    look = jax.jit(make_look(forward=forward, grad_cam=grad_cam))
    return Network(look, *jax.device_put((weights.variables, weights.normalization)))


def _about(name: str, loaded: list[tuple[Any, dict, dict]], *, has_heat: bool) -> dict[str, Any]:
    _, config, row = loaded[0]
    return about(
        name=name,
        config=config,
        epoch=row["epoch"],
        accuracy=float(np.mean([row["val_accuracy"] for _, _, row in loaded])),
        parameters=sum(count_parameters(weights.variables["params"]) for weights, _, _ in loaded),
        has_heat=has_heat,
    )


def _bind(host: str, port: int) -> socket.socket:
    """A socket that has the address, and does not listen yet: nobody shall wait for a compilation."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere the option means to share the port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise _no_address(host, port, error) from error
    except UnicodeError as error:
        raise UserError(f"config.serve.host is {host!r}; expected an address, as 127.0.0.1") from error
    return listener


def _listen(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    try:
        listener.listen(128)
    except OSError as error:  # another process was quicker
        raise _no_address(host, port, error) from error


def _no_address(host: str, port: int, error: OSError) -> UserError:
    return UserError(
        f"cannot listen on {host}, port {port}: {os_reason(error)}; "
        "choose others by --config.serve.host and --config.serve.port"
    )


def _is_local(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _announce(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    if not _is_local(listener):
        print(
            "warning: anybody on the network can use this page, and pictures travel to it unencrypted; "
            "see docs/serve.md"
        )
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
        access_log=False,  # who looked at what is nobody's business
        log_level="warning",
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
    )
    uvicorn.Server(config).run(sockets=[listener])
