"""What autocast must not round: scores that choose tokens, gates, heads, and the features that go into them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pyg_samsa.functional.autocast import at_least_float32
from pyg_samsa.nn import (
    GNN,
    SAMSA,
    BagOfFeatures,
    GraphFeatures,
    ImportanceScore,
    LinearScore,
    MLPHead,
    PointNet,
    SAMSAConv,
    SFTConv,
)
from pyg_samsa.nn.precision import as_weights, in_full_precision
from pyg_samsa.nn.readout import Gate

HALF = [torch.bfloat16, torch.float16]
SMALL = {"channels": 16, "num_layers": 2, "heads": 4, "num_samples": 4}
NETWORKS = {
    "samsa": lambda: SAMSA.from_options(5, 1, **SMALL),
    "samsa, mean": lambda: SAMSA.from_options(5, 1, pool="mean", head_norm="batch", **SMALL),
    "samsa, nodes": lambda: SAMSA.from_options(5, 1, level="node", context=True, **SMALL),
    "samsa, pairs": lambda: SAMSA.from_options(5, 1, towers=2, interaction="nli", **SMALL),
    "sft": lambda: SAMSA.from_options(5, 1, attention="sft", **SMALL),
    "gcn": lambda: GNN(5, 1, channels=16),
    "gps": lambda: GNN(5, 1, layer="gps", channels=16, pool="attention"),
    "gcn, nodes": lambda: GNN(5, 1, channels=16, level="node"),
    "point net": lambda: PointNet(5, 1, width=0.25),
    "point net, nodes": lambda: PointNet(5, 1, width=0.25, level="node"),
    "bag of features": lambda: BagOfFeatures(5, 1, channels=16),
}
OPERATORS = {
    **{f"samsa {sampling}": lambda sampling=sampling: SAMSAConv(64, 4, 16, sampling) for sampling in ("hard", "soft")},
    "samsa replacement": lambda: SAMSAConv(64, 4, 16, "replacement"),
    "samsa shared": lambda: SAMSAConv(64, 4, 16, shared_sets=True),
    "samsa random": lambda: SAMSAConv(64, 4, 16, importance="random"),
    "sft": lambda: SFTConv(64, 4, 16),
    "sft, own sets": lambda: SFTConv(64, 4, 16, shared=False),
    "sft paired": lambda: SFTConv(64, 4, 16, sampler="paired"),
}
LAYERS = {
    "importance": lambda: ImportanceScore(16, heads=4),
    "linear": lambda: LinearScore(16, heads=4),
    "gate": lambda: Gate(16, 1),
    "head": lambda: MLPHead(16, 3),
    "normalised head": lambda: MLPHead(16, 3, norm="batch"),
    "features of graphs": lambda: GraphFeatures(16, 8),
}


@pytest.mark.parametrize("half", HALF)
@pytest.mark.parametrize("layer", LAYERS)
def test_autocast_changes_nothing(layer, half):
    torch.manual_seed(0)
    module, x = LAYERS[layer]().eval(), torch.randn(500, 16)
    expected = module(x)
    with torch.autocast("cpu", half):
        found = module(x)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize("operator", OPERATORS)
def test_as_many_scores_differ_as_in_float32(operator):
    torch.manual_seed(0)
    conv, x = OPERATORS[operator]().eval(), torch.randn(458, 64)
    with torch.autocast("cpu", torch.bfloat16):
        scores = conv.score(x)
    assert [column.unique().numel() for column in scores.T] == [column.unique().numel() for column in conv.score(x).T]


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_order_of_tokens_does_not_choose_the_keys(operator):
    torch.manual_seed(0)
    conv, x, batch = OPERATORS[operator]().eval(), torch.randn(400, 64), torch.arange(400) // 200
    order = torch.randperm(400)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        out, sampled = conv(x, batch=batch, return_sampled_tokens=True)
        other, again = conv(x[order], batch=batch[order], return_sampled_tokens=True)
    # Rows of the permuted input, by their number in the first one; support pairs keep their negative numbers.
    rows = torch.where(again.index >= 0, order[again.index.clamp_min(0)], again.index)
    assert torch.equal(rows, sampled.index)
    torch.testing.assert_close(other, out[order], rtol=0.02, atol=0.02)


@pytest.mark.parametrize("network", NETWORKS)
def test_as_many_predictions_differ_as_in_float32(network):
    torch.manual_seed(0)
    model = NETWORKS[network]().eval()
    for name, weight in model.named_parameters():
        if name.endswith("alpha"):
            nn.init.constant_(weight, 0.5)
    x, batch = torch.randn(4000, 5), torch.arange(4000) // 8
    edge_index = torch.stack([torch.arange(4000), torch.arange(4000) ^ 1])
    options = {"batch_size": 500} if isinstance(model, SAMSA) else {}
    with torch.no_grad():
        expected = model(x, edge_index, batch=batch, **options)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(x, edge_index, batch=batch, **options)
    assert found.dtype == torch.float32
    # Of thousands of predictions of nodes, a few agree by chance even in float32.
    assert found.unique().numel() >= 0.995 * expected.unique().numel()


def test_gradients_reach_the_weights_and_the_input_in_their_own_type():
    score, x = ImportanceScore(8, heads=2), torch.randn(5, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        score(x.bfloat16()).sum().backward()
    assert {weight.grad.dtype for weight in score.parameters()} == {x.grad.dtype} == {torch.float32}


def test_weights_in_half_precision_work_with_any_input():
    for make in LAYERS.values():
        module = make().eval().bfloat16()
        for dtype in (torch.float32, torch.bfloat16):
            assert torch.isfinite(module(torch.randn(5, 16, dtype=dtype))).all()


def test_number_types_of_modules_without_floating_weights():
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False)
    for module in (nn.Identity(), layer):
        assert as_weights(module, torch.ones(1).bfloat16()).dtype == torch.float32
        assert as_weights(module, torch.ones(1).double()).dtype == torch.float64
    assert at_least_float32(torch.ones(1).half()).dtype == torch.float32


def test_autocast_goes_on_afterwards():
    x = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert in_full_precision(nn.Linear(2, 2), x).dtype == torch.float32
        assert (x @ x).dtype == torch.bfloat16


def test_compiled_code_does_the_same():
    torch.manual_seed(0)
    head, x = MLPHead(16, 3).eval(), torch.randn(50, 16)
    compiled = torch.compile(head, backend="eager", fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(compiled(x), head(x))
