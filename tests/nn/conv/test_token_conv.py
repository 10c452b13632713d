"""What all operators share: the order of tokens, what they return besides tokens, and their errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.device_path import accelerator_path
from pyg_samsa.nn import OPERATORS, TokenContext, TokenConv, make_operator

BATCH = torch.tensor([2, 0, 0, 2, 3, 2, 0, 3, 3, 2])
SAMPLING = [name for name, operator in OPERATORS.items() if operator.samples]


def operator(name: str) -> TokenConv:
    torch.manual_seed(0)
    options = {"num_samples": 3} if OPERATORS[name].samples else {}
    if name == "flt":
        options["encoding"] = "none"
    return make_operator(name, 8, heads=2, **options).double().eval()


def tokens() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(10, 8, dtype=torch.float64)


@pytest.mark.parametrize("name", OPERATORS)
def test_attention_weights_give_the_output(name):
    conv, x = operator(name), tokens()
    out, (edge_index, weights) = conv(x, batch=BATCH, batch_size=4, return_attention_weights=True)
    table = conv.key_value(x)
    if name in SAMPLING:
        table = torch.cat([table, conv.support_key_value])
    value = conv.split_heads(table)[..., conv.head_channels :]
    source, target = edge_index
    mixed = value.new_zeros(10, 2, 4).index_add(0, target, weights[..., None] * value[source])
    torch.testing.assert_close(conv.out(mixed.flatten(1)), out)
    assert torch.equal(out, conv(x, batch=BATCH, batch_size=4))
    own = source < 10
    assert torch.equal(BATCH[source[own]], BATCH[target[own]])
    assert edge_index.unique(dim=1).size(1) == edge_index.size(1)


@pytest.mark.parametrize("name", OPERATORS)
def test_batch_ptr_and_index_are_the_same(name):
    conv, x = operator(name), tokens()
    order = BATCH.argsort(stable=True)
    ptr = torch.tensor([0, 3, 3, 7, 10])
    expected = conv(x, batch=BATCH, batch_size=4)[order]
    for given in (ptr, RaggedIndex(ptr)):
        torch.testing.assert_close(conv(x[order], ptr=given), expected)


@pytest.mark.parametrize("name", SAMPLING)
def test_weights_come_before_sampled_tokens(name):
    _, (edge_index, _), sampled = operator(name)(
        tokens(), batch=BATCH, return_attention_weights=True, return_sampled_tokens=True
    )
    chosen = sampled.index[sampled.index >= 0].unique()
    assert torch.equal(edge_index[0][edge_index[0] < 10].unique(), chosen)


@pytest.mark.parametrize("name", sorted(set(OPERATORS) - set(SAMPLING)))
def test_operators_that_do_not_sample_say_so(name):
    with pytest.raises(ConfigError, match="does not sample tokens"):
        operator(name)(tokens(), return_sampled_tokens=True)


class Plain(TokenConv):
    """Returns the values, and has no attention weights."""

    def attend(self, x: torch.Tensor, context: TokenContext) -> tuple[torch.Tensor, None]:
        return self.split_heads(self.key_value(x))[..., self.head_channels :], None


def test_an_operator_without_weights_says_so():
    with pytest.raises(ConfigError, match="Plain forms no attention weights"):
        Plain(8, heads=2)(torch.randn(3, 8), return_attention_weights=True)


@pytest.mark.parametrize("name", OPERATORS)
def test_pairs_of_sampled_tokens_are_rows_of_all_pairs(name):
    conv, x, chosen = operator(name), tokens(), torch.tensor([[[4, 0], [9, 9]], [[1, 2], [3, 5]]])
    expected = conv.pairs_of_all(x, 2)[chosen, torch.arange(2)[:, None]]
    torch.testing.assert_close(conv.project_sampled(x, chosen), expected)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"channels": 0}, "channels"),
        ({"heads": 3}, "heads"),
        ({"heads": 0}, "heads"),
        ({"dropout": 1.0}, "dropout"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(change, error):
    with pytest.raises(ConfigError, match=error):
        Plain(**{"channels": 8, "heads": 2, **change})


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"x": torch.zeros(3, 7)}, "x"),
        ({"x": torch.zeros(3, 8, dtype=torch.long)}, "x"),
        ({"score_input": torch.zeros(2, 8)}, "score_input"),
        ({"batch": torch.zeros(2, dtype=torch.long)}, "batch"),
        ({"x": None}, "x: got None"),
        ({"x": (torch.zeros(3, 8), torch.zeros(2, 8))}, "x: got a tuple"),
        ({"edge_index": torch.zeros(3, dtype=torch.long)}, r"edge_index: got \[3\]"),
        ({"edge_index": torch.zeros(3, 2, dtype=torch.long)}, r"edge_index: got \[3, 2\]"),
    ],
    ids=str,
)
def test_bad_input_is_named(call, error):
    with pytest.raises(ShapeError, match=error):
        Plain(8, heads=2)(**{"x": torch.zeros(3, 8), **call})


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_floats_of_another_type_get_that_of_the_weights(name, dtype):
    conv, x = operator(name).float(), tokens().to(dtype)
    out = conv(x, batch=BATCH, score_input=x.flip(0))
    assert out.dtype == torch.float32
    assert torch.equal(out, conv(x.float(), batch=BATCH, score_input=x.float().flip(0)))


@pytest.mark.parametrize("name", OPERATORS)
def test_numbers_of_numpy_are_those_of_python(name):
    options = {"num_samples": np.int64(3)} if OPERATORS[name].samples else {}
    given = {"heads": np.int64(2), "dropout": np.float32(0.5), "bias": np.True_, **options}
    conv = make_operator(name, np.int64(8), **given)
    same = make_operator(name, 8, heads=2, dropout=0.5, bias=True, **({"num_samples": 3} if options else {}))
    assert repr(conv) == repr(same)
    assert type(conv.heads) is int


def test_keys_are_projected_after_sampling_where_that_is_cheaper():
    """CPUs: from 2 tokens for each sampled one. Accelerators: from H tokens, because gathering costs more there."""
    conv = TokenConv(16, heads=8)
    for tokens, on_cpu, on_accelerator in ((16, False, False), (17, True, False), (64, True, False), (65, True, True)):
        assert conv.can_project_sampled(torch.ones(tokens, 16), 2, 4) is on_cpu
        with accelerator_path():
            assert conv.can_project_sampled(torch.ones(tokens, 16), 2, 4) is on_accelerator
