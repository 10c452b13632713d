from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.nn import Encoder, SAMSABlock, Tokens


def encoder(**options) -> Encoder:
    torch.manual_seed(0)
    options = {"heads": 4, "num_samples": 3, "rezero": "shared", **options}
    model = Encoder([SAMSABlock(16, **options) for _ in range(3)]).double().eval()
    torch.nn.init.constant_(model.alpha, 0.7)
    return model


def tokens(pos: bool = False) -> Tokens:
    torch.manual_seed(1)
    index = RaggedIndex(torch.tensor([0, 4, 4, 12, 13, 30]))
    place = torch.randn(30, 3, dtype=torch.float64) if pos else None
    return Tokens(torch.randn(30, 16, dtype=torch.float64), index, torch.arange(30), pos=place)


@pytest.mark.parametrize("part", [1, 16 * 5, 16 * 30])
@pytest.mark.parametrize("options", [{"sampling": "soft"}, {"conv": "sft", "encoding": "dist"}], ids=str)
def test_evaluation_in_parts_equals_evaluation_at_once(part, options, monkeypatch):
    model, batch = encoder(**options), tokens(pos="conv" in options)
    with torch.no_grad():
        whole = model(batch).x
        monkeypatch.setattr("pyg_samsa.nn.encoder._PART_ELEMENTS", part)
        torch.testing.assert_close(model(batch).x, whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(model(batch).x, whole, rtol=0, atol=1e-12)


def test_blocks_with_hooks_are_called_once(monkeypatch):
    monkeypatch.setattr("pyg_samsa.nn.encoder._PART_ELEMENTS", 16 * 5)
    model, batch, calls = encoder(), tokens(), []
    hook = model.blocks[1].conv.register_forward_hook(lambda module, args, output: calls.append(len(output)))
    with torch.no_grad():
        model(batch)
        assert calls == [30]
        hook.remove()
        model(batch)
    assert calls == [30]


def test_hooks_on_all_modules_see_each_block_once(monkeypatch):
    monkeypatch.setattr("pyg_samsa.nn.encoder._PART_ELEMENTS", 16 * 5)
    model, batch, calls = encoder(), tokens(), []
    handle = torch.nn.modules.module.register_module_forward_hook(lambda module, *_: calls.append(module))
    try:
        with torch.no_grad():
            model(batch)
    finally:
        handle.remove()
    assert [calls.count(block) for block in model.blocks] == [1] * len(model.blocks)


def test_checkpointing_changes_neither_values_nor_gradients():
    results = []
    for checkpointing in (False, True):
        model = encoder(noise="never").train()
        model.checkpointing = checkpointing
        batch = tokens()
        batch.x.requires_grad_()
        out = model(batch).x
        out.square().sum().backward()
        results.append([out, batch.x.grad, *(weight.grad for weight in model.parameters() if weight.requires_grad)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_one_shared_scalar_or_one_per_block():
    assert sum(name.endswith("alpha") for name, _ in encoder().named_parameters()) == 1
    own = Encoder([SAMSABlock(16, heads=4) for _ in range(3)])
    assert own.alpha is None
    assert sum(name.endswith("alpha") for name, _ in own.named_parameters()) == 3


def test_no_block_is_an_error():
    with pytest.raises(ConfigError, match="num_layers"):
        Encoder([])


def test_every_block_is_compiled_with_the_options(monkeypatch):
    seen = []
    monkeypatch.setattr(SAMSABlock, "compile", lambda self, **options: seen.append((self, options)))
    model = encoder()
    model.compile(dynamic=True)
    assert seen == [(block, {"dynamic": True}) for block in model.blocks]


def test_operators_know_their_layer_for_errors():
    blocks = [SAMSABlock(16, heads=4, num_samples=3) for _ in range(2)]
    names = [block.conv.name for block in Encoder(blocks).blocks]
    assert names == ["layer 0 of 2, SAMSAConv", "layer 1 of 2, SAMSAConv"]
