"""Adds a tokenizer as CONTRIBUTING.md shows it, and trains with it by its name."""

from typing import Annotated

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.run import run
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.resolve import resolve
from pyg_samsa.graphgym.config import cfg, load_config
from pyg_samsa.graphgym.plan import build_network
from pyg_samsa.graphgym.settings import SETTINGS
from pyg_samsa.nn import SAMSA, TOKENIZERS, NodeTokenizer, Tokens, make_tokenizer, register_tokenizer
from pyg_samsa.nn.tokenizers.node import NodeTokenizer as Base
from pyg_samsa.options import Option, check_integer


class SegmentTokenizer(NodeTokenizer):
    """Makes one token of every ``length`` nodes that follow each other: their mean."""

    def __init__(
        self, channels, in_channels, *, length: Annotated[int, Option("Nodes of a token.", low=1)] = 2, pe_channels=0
    ):
        super().__init__(channels, in_channels, pe_channels=pe_channels)
        check_integer("length", length)
        self.length = length

    def forward(self, x, edge_index=None, edge_attr=None, batch=None, *, batch_size=None, pe=None, **unused):
        h = self.encode_nodes(x, batch, batch_size=batch_size, pe=pe)
        index, _ = resolve(h.size(0), h.device, batch, None, batch_size)
        place = torch.arange(index.num_tokens) - index.ptr[index.batch]
        sizes = (index.ptr.diff() + self.length - 1) // self.length
        ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        rows = ptr[index.batch] + place // self.length
        total = h.new_zeros(int(ptr[-1]), self.channels).index_add(0, rows, h)
        return Tokens(total / rows.bincount().unsqueeze(1), RaggedIndex(ptr), rows)


@pytest.fixture
def registered():
    register_tokenizer("segments")(SegmentTokenizer)
    yield
    del TOKENIZERS["segments"]
    SETTINGS.pop("segments.length", None)


@pytest.fixture
def config(shapes_config):
    return lambda **samsa: shapes_config(**{"num_samples": 4, "tokenizer": "segments", **samsa})


def test_added_tokenizer_makes_its_tokens(registered):
    tokens = make_tokenizer("segments", 8, 3, length=3)(torch.randn(7, 3), batch=torch.tensor([0, 0, 0, 0, 0, 1, 1]))
    assert tokens.index.ptr.tolist() == [0, 2, 3]
    assert tokens.node_rows.tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_added_tokenizer_is_part_of_a_network(registered):
    torch.manual_seed(0)
    options = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4}
    model = SAMSA.from_options(3, 2, tokenizer="segments", tokenizer_options={"length": 4}, **options)
    out = model(torch.randn(9, 3), batch=torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1]))
    out.sum().backward()
    assert out.shape == (2, 2)
    assert model.tokenizer.length == 4
    assert all(weight.grad is not None for weight in model.tokenizer.parameters())


def test_a_configuration_names_the_tokenizer_and_its_own_options(registered, config):
    (result,) = run(config(), ["segments.length", "4"], verbosity=-1)
    assert result.parameters > 0
    tokenizer = build_network(cfg.share.dim_in, cfg.share.dim_out).model.tokenizer
    assert type(tokenizer) is SegmentTokenizer
    assert tokenizer.length == 4


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (["segments.length", "0"], "segments.length: got 0"),
        (["samsa.bridge", "False"], "samsa.bridge: got False, expected the default True, because tokenizer is"),
        (["samsa.tokenizer", "words"], "samsa.tokenizer: got 'words'"),
        (["samsa.tokenizer", "null", "segments.length", "4"], "segments.length: got 4, expected 2, because"),
    ],
)
def test_wrong_options_are_refused_before_any_work(registered, config, opts, message):
    with pytest.raises(ConfigError) as caught:
        load_config(config(), opts)
    assert message in str(caught.value)


def test_options_of_other_tokenizers_and_taken_names_are_refused(registered):
    with pytest.raises(ConfigError, match="width: got 3, expected left out"):
        make_tokenizer("segments", 8, 3, width=3)
    with pytest.raises(ConfigError, match="expected one of 'segments'"):
        make_tokenizer("segment", 8, 3)
    with pytest.raises(ConfigError, match=r"an unused name; .*SegmentTokenizer has this one"):
        register_tokenizer("segments")(Base)
    with pytest.raises(ConfigError, match="flip_signs: got True, expected the default False, because pe_channels is 0"):
        SAMSA.from_options(3, 2, tokenizer="segments", flip_signs=True)
    with pytest.raises(ConfigError, match="nothing without a tokenizer"):
        SAMSA.from_options(3, 2, tokenizer_options={"length": 4})
