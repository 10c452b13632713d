"""Shapes in annotations: ``Float[Tensor, "T D"]`` is a tensor of floats with a row for every token.

The types are those of jaxtyping where it is installed, and the tests then check every call of an annotated function
(see ``conftest.py``). Without jaxtyping an annotation is the plain tensor. The letters are the same everywhere:

======  ==========================================  ======  ==========================================
``B``   graphs in a batch                           ``H``   heads
``T``   tokens of the whole batch                   ``C``   channels of a head, D / H
``n``   tokens of one graph                         ``K``   sampled tokens of a head
``N``   nodes                                       ``S``   support tokens
``E``   directed edges                              ``M``   random features of a head
``D``   channels                                    ``m``   frequencies of a head
``F``   features of a node, edge or point           ``l``   coordinates of a position
======  ==========================================  ======  ==========================================
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Annotated as Bool
    from typing import Annotated as Complex
    from typing import Annotated as Float
    from typing import Annotated as Int
    from typing import Annotated as Shaped
else:
    try:
        from jaxtyping import Bool, Complex, Float, Int, Shaped
    except ImportError:

        class _Plain:
            """Give ``Float[Tensor, "T D"]`` the value ``Tensor``."""

            def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
                return item[0]

        Bool = Complex = Float = Int = Shaped = _Plain

__all__ = ["Bool", "Complex", "Float", "Int", "Shaped"]
