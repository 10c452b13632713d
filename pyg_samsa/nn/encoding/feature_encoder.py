"""Encoders of raw node and edge features, chosen by what the features are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import Linear, Module

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.functional.deferred_checks import require
from pyg_samsa.functional.inputs import cast_floats, check_tensor
from pyg_samsa.nn.encoding.categorical import CategoricalEncoder
from pyg_samsa.options import check_integer, is_number
from pyg_samsa.typing import Float, Int, Shaped

Features = int | Sequence[int] | Module


def make_encoder(key: str, features: Features, channels: int) -> Module:
    """Return the encoder of node or edge features: :math:`h = W x + b`, a `CategoricalEncoder`, or the given module.

    Args:
        key: Name of the argument, for the error.
        features: A number of float features (a linear encoder), the cardinalities of categorical features (a sum of
            embeddings), or a module.
        channels: Channels D of the result.

    Raises:
        ConfigError: ``features`` is none of these.

    Example:
        >>> make_encoder("in_channels", [4, 2], 8)
        CategoricalEncoder([4, 2], 8)
        >>> make_encoder("in_channels", 3, 8)
        Linear(in_features=3, out_features=8, bias=True)
    """
    if isinstance(features, Module):
        return features
    if is_number(features, whole=True):
        check_integer(key, features)
        return Linear(cast(int, features), channels)
    if isinstance(features, Sequence) and not isinstance(features, str):
        return CategoricalEncoder(features, channels)
    raise ConfigError(key, features, "a number of float features, a list of cardinalities, or an encoder module")


def prepare_features(name: str, encoder: Module | None, features: Shaped[Tensor, "N ..."]) -> Shaped[Tensor, "N ..."]:
    """Return features in the form that their encoder takes.

    Floats and booleans get the number type of its weights. A vector is one feature of each node or edge.

    Args:
        name: Name of the features, for the errors.
        encoder: Their encoder; None for features that are not used.
        features: One row, or one number, for each node or edge.

    Raises:
        ShapeError: The features are no tensor.
        NumericalError: A number is too large for the type of the weights.

    Example:
        >>> prepare_features("x", Linear(1, 8), torch.tensor([0.5, 2.0], dtype=torch.float64))
        tensor([[0.5000],
                [2.0000]])
    """
    if encoder is None:
        return features
    expected = f"floats [*, {encoder.in_features}]" if isinstance(encoder, Linear) else "one row for each node or edge"
    features = check_tensor(name, features, expected)
    weight = next((weight for weight in encoder.parameters() if weight.is_floating_point()), None)
    if weight is not None and not isinstance(encoder, CategoricalEncoder):
        features = cast_floats(name, features, weight.dtype)
    if features.dim() == 1 and isinstance(encoder, Linear) and encoder.in_features == 1:
        features = features.unsqueeze(1)
    return features


def encode_features(
    name: str, encoder: Module, features: Shaped[Tensor, "N ..."], channels: int
) -> Float[Tensor, "N D"]:
    """Return encoded features.

    Args:
        name: Name of the features, for the errors.
        encoder: Their encoder.
        features: One row for each node or edge, see `prepare_features`.
        channels: Channels D that the encoder must return.

    Raises:
        ShapeError: The features do not fit the encoder, or its result is not [N, D].
        NumericalError: A feature is not finite.

    Example:
        >>> encode_features("x", Linear(3, 8), torch.ones(2, 3), 8).shape
        torch.Size([2, 8])

    Cost: The cost of the encoder.
    """
    features = prepare_features(name, encoder, features)
    check_finite(name, features)
    if isinstance(encoder, Linear) and (
        features.dim() != 2 or features.size(1) != encoder.in_features or not features.is_floating_point()
    ):
        option = {"x": "in_channels", "edge_attr": "edge_channels"}.get(name, "the option of these features")
        cure = f"Pass {name}.float(), or make the network with a list of numbers of categories as {option}."
        raise ShapeError(
            name,
            f"{list(features.shape)} {features.dtype}",
            f"floats [*, {encoder.in_features}]",
            hint="" if features.is_floating_point() else cure,
        )
    encoded = encoder(features)
    if encoded.shape != (features.size(0), channels):
        raise ShapeError(f"encoded {name}", list(encoded.shape), [features.size(0), channels])
    return encoded


def check_finite(name: str, features: Shaped[Tensor, "..."]) -> None:
    """Raise an error that names the row if a float feature is NaN or infinite.

    Args:
        name: Name of the features, for the error.
        features: Features; integers are always finite.

    Raises:
        NumericalError: A feature is not finite.

    Example:
        >>> check_finite("x", torch.tensor([[0.0], [float("nan")]]))
        Traceback (most recent call last):
        pyg_samsa.errors.NumericalError: x: NaN or infinite value in row 1

    Cost: O(N F); nothing in compiled code.
    """
    if not features.is_floating_point() or torch.compiler.is_compiling():
        return
    bad = ~torch.isfinite(features)

    def explain() -> NumericalError:
        hint = "Fill or drop missing values before training or prediction."
        return NumericalError(name, f"NaN or infinite value in row {int(bad.nonzero()[0, 0])}", hint=hint)

    require(bad.any(), explain)


def one_hot_categories(
    category: Int[Tensor, "..."] | None, num_graphs: int, num_categories: int
) -> Int[Tensor, "B categories"]:
    r"""Return the one-hot category of each graph, :math:`y_{bk} = [\, c_b = k \,]`.

    Args:
        category: Categories c of the graphs.
        num_graphs: Number of graphs B.
        num_categories: Number of categories.

    Raises:
        ShapeError: There is not one category from 0 to ``num_categories - 1`` for each graph.

    Example:
        >>> one_hot_categories(torch.tensor([1]), 1, 3).tolist()
        [[0, 1, 0]]

    Cost: O(B num_categories).
    """
    if category is None or category.numel() != num_graphs or category.is_floating_point():
        raise ShapeError(
            "category",
            None if category is None else list(category.shape),
            f"integers [{num_graphs}], one category a graph",
        )
    category = category.flatten().long()

    def explain() -> ShapeError:
        found = f"{int(category.min())} to {int(category.max())}"
        return ShapeError("category", found, f"categories 0 to {num_categories - 1}")

    require(((category < 0) | (category >= num_categories)).any(), explain)
    return (category[:, None] == torch.arange(num_categories, device=category.device)).long()
