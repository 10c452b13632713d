"""Operators, blocks and networks keep PyTorch's contract: what is hooked, replaced, copied or exported counts."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from pyg_samsa.functional import RaggedIndex
from pyg_samsa.nn import OPERATORS, SAMSA, SAMSABlock, make_operator

PTR = torch.tensor([0, 30, 60])


def operator(name: str):
    torch.manual_seed(0)
    options = {"num_samples": 4} if OPERATORS[name].samples else {}
    return make_operator(name, 16, heads=4, **({"encoding": "none"} if name == "flt" else {}), **options).eval()


def block(name: str = "samsa", **options):
    torch.manual_seed(0)
    made = SAMSABlock(16, conv=operator(name), **options).eval()
    nn.init.constant_(made.alpha, 0.5)
    return made


def tokens():
    torch.manual_seed(1)
    return torch.randn(60, 16)


class Double(nn.Module):
    def forward(self, weight):
        return 2 * weight


@pytest.mark.parametrize("name", OPERATORS)
def test_hooks_of_every_child_of_an_operator_fire(name):
    conv, fired = operator(name), []
    for key, module in conv.named_modules():
        if key and not any(True for _ in module.children()) and any(True for _ in module.parameters(recurse=False)):
            module.register_forward_hook(lambda module, args, out, key=key: fired.append(key))
    with torch.no_grad():
        conv(tokens(), ptr=PTR)
    expected = {"query", "key_value", "out"}
    assert expected <= set(fired)
    assert len(fired) == len(set(fired))  # each once


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("child", ["query", "key_value", "out"])
def test_parametrized_children_of_an_operator_count(name, child):
    conv, x = operator(name), tokens()
    other = copy.deepcopy(conv)
    with torch.no_grad():
        getattr(other, child).weight.mul_(2)
        parametrize.register_parametrization(getattr(conv, child), "weight", Double())
        torch.testing.assert_close(conv(x, ptr=PTR), other(x, ptr=PTR))


@pytest.mark.parametrize("name", OPERATORS)
def test_a_wrapped_child_of_an_operator_counts(name):
    class Shifted(nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base = base

        def forward(self, x):
            return self.base(x) + 1

    conv, x = operator(name), tokens()
    other = copy.deepcopy(conv)
    with torch.no_grad():
        other.key_value.bias.add_(1)
        conv.key_value = Shifted(conv.key_value)
        torch.testing.assert_close(conv(x, ptr=PTR), other(x, ptr=PTR))


@pytest.mark.parametrize("name", OPERATORS)
def test_quantised_blocks_run(name):
    made, x = block(name), tokens()
    quantised = torch.ao.quantization.quantize_dynamic(made, {nn.Linear})
    with torch.no_grad():
        found, expected = quantised(x, ptr=PTR), made(x, ptr=PTR)
    assert found.isfinite().all()
    assert (found - expected).abs().mean() < 0.2


@pytest.mark.parametrize("name", OPERATORS)
def test_functional_call_copies_and_pickles_of_a_block(name):
    made, x = block(name), tokens()
    with torch.no_grad():
        expected = made(x, ptr=PTR)
        for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
            assert torch.equal(other(x, ptr=PTR), expected)
        weights = {key: torch.zeros_like(weight) for key, weight in made.named_parameters()}
        torch.testing.assert_close(torch.func.functional_call(made, weights, (x,), {"ptr": PTR}), x)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_operator_of_a_block_is_called_once_whatever_the_batch(name, monkeypatch):
    made, calls = block(name), []
    made.conv.register_forward_hook(lambda *_: calls.append(1) or None)
    with torch.no_grad():
        made(torch.randn(70_000, 16), ptr=torch.arange(0, 70_001, 1000))
    assert calls == [1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["samsa", "full"])
def test_blocks_can_be_exported(name):
    made, x = block(name), tokens()

    class OneGraph(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = made
            self.index = RaggedIndex(torch.tensor([0, 60]))

        def forward(self, x):
            return self.block(x, ptr=self.index)

    program = torch.export.export(OneGraph().eval(), (x,), strict=False)
    torch.testing.assert_close(program.module()(x), OneGraph()(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", OPERATORS)
def test_blocks_can_be_exported_for_one_graph_of_any_size(name):
    made, x = block(name), tokens()
    sizes = None if name == "sft" else {"x": {0: torch.export.Dim("T", min=40, max=400)}}  # sft: one size
    program = torch.export.export(made, (x,), dynamic_shapes=sizes).module()
    for given in (x,) if name == "sft" else (x, x[:45]):
        torch.testing.assert_close(program(given), made(given), rtol=0, atol=1e-5)


def test_networks_keep_the_contract():
    torch.manual_seed(0)
    options = {"channels": 16, "num_layers": 2, "heads": 4, "num_samples": 4}
    model = SAMSA.from_options(5, 2, edge_channels=3, **options).eval()
    nn.init.constant_(model.encoder.alpha, 0.5)
    x, edge_attr = torch.randn(4, 5), torch.randn(4, 3)
    edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    inputs = (x, edge_index, edge_attr, torch.tensor([0, 0, 0, 1]))
    expected = model(*inputs)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(*inputs), expected)
        assert other.options == model.options
    fresh = SAMSA.from_options(**model.options)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.eval()(*inputs), expected)
    fired = []
    for part in (model.tokenizer, model.encoder, model.readout):
        part.register_forward_hook(lambda module, *_: fired.append(type(module).__name__) or None)
    model(*inputs)
    assert fired == ["GraphTokenizer", "Encoder", "Readout"]
