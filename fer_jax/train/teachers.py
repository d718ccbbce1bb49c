"""What training builds on: teachers, which may know votes, and the networks whose weights it starts from."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.checkpoints import choose, digests
from fer_jax.checkpoints.same_run import differing_network
from fer_jax.classifier import Classifier
from fer_jax.data.faces import Faces
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.models import count_parameters, create_model, init_variables, output_layer
from fer_jax.runtime.command import Config, side_of_network, split_names


class NamedNetworks(NamedTuple):
    """The trained networks of a config.

    Attributes:
      teachers: by name.
      members: by name, those whose weights training starts from.
      initial: the network that training starts from: the mean of the members' weights; None without members.
    """

    teachers: dict[str, Classifier]
    members: dict[str, Classifier]
    initial: Classifier | None

    def digests(self) -> dict[str, str]:
        """Digests of each network's weights, by ``teacher NAME`` and ``initial_weights``."""
        found = {f"teacher {name}": network for name, network in self.teachers.items()}
        if self.initial:
            found["initial_weights"] = self.initial
        return {part: digests.content(jax.tree.map(np.asarray, n.weights)) for part, n in found.items()}


def named_networks(config: Config, labels: Sequence[str]) -> NamedNetworks:
    """Load the networks that ``config["teacher"]`` and ``initial_weights`` name; each may be ``A,B``.

    Raises UserError if one is missing, or a teacher has other classes than ``labels``. Also if a network to
    start from has other sizes or another normalization than the config, or other classes than the first one.
    """
    teachers, members = (_load_all(config[field]) for field in ("teacher", "initial_weights"))
    for name, teacher in teachers.items():
        _check_classes(
            f"config.teacher: {name}", teacher, labels, others="this run has", needs="a teacher needs"
        )
    _check_can_start(members, config)
    return NamedNetworks(teachers, members, mean_of_weights(list(members.values())) if members else None)


def _load_all(names: str) -> dict[str, Classifier]:
    """Load the networks of ``A,B``; none of an empty text."""
    return {name: choose.load(name) for name in split_names(names)}


def _check_classes(
    which: str, network: Classifier, labels: Sequence[str], *, others: str, needs: str
) -> None:
    """Raise UserError unless the classes of a network are ``labels``, those of ``others``, in their order."""
    if network.labels != tuple(labels):
        raise UserError(
            f"{which} knows {', '.join(network.labels)}; {others} {', '.join(labels)}; "
            f"{needs} the same classes in the same order"
        )


def _check_can_start(members: dict[str, Classifier], config: Config) -> None:
    """Raise UserError if a network's weights do not fit the config's network, or the first one's classes."""
    first = next(iter(members), "")
    for name, network in members.items():
        differing = differing_network(network.record.config, config)
        if differing and name != first:
            raise UserError(
                f"config.initial_weights: {name} has other sizes or normalization than {first}; "
                "a mean of weights needs networks of one kind"
            )
        if differing:
            flags = " ".join(_flag(field, value) for field, value in differing.items())
            raise UserError(
                f"config.initial_weights: {name} is a network of other sizes or normalization; add {flags}"
            )
        _check_classes(
            f"config.initial_weights: {name}",
            network,
            members[first].labels,
            others=f"{first} knows",
            needs="a mean of weights needs",
        )


def mean_of_weights(networks: Sequence[Classifier]) -> Classifier:
    """Return the first network with the mean of all their weights (model soups, Wortsman et al. 2022).

    The mean is good only if all went on from the same network: weights of unrelated runs do not match. The
    statistics of batch normalization are means too; training makes them anew.
    """
    if len(networks) == 1:
        return networks[0]
    first = networks[0]
    variables = jax.tree.map(
        lambda *parts: np.mean(parts, 0, dtype=np.float32), *(n.weights.variables for n in networks)
    )
    return dataclasses.replace(first, weights=first.weights._replace(variables=variables))


def variables_to_start_from(network: Classifier, labels: Sequence[str], key: jax.Array) -> dict[str, Any]:
    """The network's variables, with an output for each of ``labels``.

    Classes that the network knows keep their outputs. Those that it does not know get random ones, from
    ``key``.
    """
    variables = network.weights.variables
    if network.labels == tuple(labels):
        return variables
    config = network.config
    params = init_variables(create_model(config["model"], config[config["model"]], len(labels)), key)[
        "params"
    ]
    layer = output_layer(params)
    known = [(new, network.labels.index(name)) for new, name in enumerate(labels) if name in network.labels]
    output = {}
    for name, fresh in params[layer].items():
        output[name] = np.array(fresh)
        for new, old in known:
            output[name][..., new] = variables["params"][layer][name][..., old]
    return variables | {"params": dict(variables["params"]) | {layer: output}}


def mean_probabilities(teachers: Sequence[Classifier]) -> Callable[[jax.Array], jax.Array]:
    """Make a function: faces float32 (N, 48, 48, 1) -> probabilities (N, K), the mean of the teachers."""
    networks = [(teacher.forward("one"), teacher.weights) for teacher in teachers]

    def probabilities(images: jax.Array) -> jax.Array:
        logs = (forward(w.variables, w.normalization, images) for forward, w in networks)
        return sum(jnp.exp(log) for log in logs) / len(networks)

    return probabilities


def probabilities_by_votes(faces: Faces, num_classes: int, of: Faces | None = None) -> np.ndarray | None:
    """Estimate how probable the labels of faces are by FER+'s votes alone.

    Multinomial logistic regression on log(1 + votes), fitted to ``faces``. With its few parameters it cannot
    learn them by heart.

    Returns:
      float32 (N, K), the probabilities for the N faces ``of``, by default the same; a class that no face has
      gets 0. None if the faces have no votes.
    """
    of = faces if of is None else of
    if faces.votes is None:
        return None
    present = np.unique(faces.labels)
    probabilities = np.zeros((len(of), num_classes), np.float32)
    probabilities[:, present] = 1
    if len(present) > 1:
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(max_iter=1000).fit(np.log1p(faces.votes), faces.labels)
        probabilities[:, present] = fitted.predict_proba(np.log1p(of.votes))
    return probabilities


def cost_of_teaching(teachers: Sequence[Classifier], params: dict[str, Any]) -> float:
    """Estimate what the teachers' forward pass on a face costs, in training steps on one of 48 x 48 pixels.

    Cost grows with parameters and pixels. A step has three passes: forward, and two kinds of gradients.
    """
    passes = (t.num_parameters * (side_of_network(t.config) / SIDE) ** 2 for t in teachers)
    return sum(passes) / (3 * count_parameters(params))


def _flag(field: str, value: str | int | list[int]) -> str:
    """The flag as a shell takes it."""
    if isinstance(value, list):
        return f'"--config.{field}={tuple(value)}"'.replace(", ", ",")
    return f"--config.{field}={value}"
