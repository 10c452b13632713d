"""`train.compile`: one graph for all blocks, none anew for another batch."""

import copy

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters

from pyg_samsa.nn import SAMSA
from pyg_samsa.training.compilation import compile_network

LOCAL = {"no local layer": None, "gine": "gine"}


def make(local, **options):
    torch.manual_seed(0)
    options = {"channels": 16, "heads": 2, "num_samples": 16, "noise": "never", "local": local, **options}
    options |= {"bridge": True, "eval_codes": "index"} if local is None else {"bridge": False}
    network = SAMSA.from_options([4], 2, edge_channels=[3], num_layers=2, **options)
    torch.nn.init.ones_(network.encoder.alpha)
    return network


def batch(sizes):
    graph = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    nodes = torch.arange(sum(sizes))
    inside = graph == graph.roll(1)
    edges = torch.stack([nodes, nodes.roll(1)])[:, inside]
    return torch.randint(0, 4, (sum(sizes), 1)), edges, torch.randint(0, 3, (edges.size(1), 1)), graph


@pytest.mark.slow
@pytest.mark.parametrize("local", LOCAL.values(), ids=LOCAL)
def test_blocks_share_a_graph_that_serves_every_batch(local, capfd):
    torch._dynamo.reset()
    counters.clear()
    network, compiled = make(local), make(local)
    seen = CompileCounterWithBackend("aot_eager")
    compiled.encoder.compile(backend=seen, dynamic=True)
    for training in (True, False):
        graphs = []
        for sizes in ([5, 2, 10], [3, 8, 2, 4], [2, 5], [7, 7, 1, 2, 9], [4, 6], [2, 3, 4, 5, 6, 7], [6, 1, 6]):
            x, edges, features, graph = batch(sizes)
            with torch.set_grad_enabled(training):
                torch.manual_seed(1)
                expected = network.train(training)(x, edges, features, graph)
                torch.manual_seed(1)
                out = compiled.train(training)(x, edges, features, graph)
                torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
            graphs.append(counters["stats"]["unique_graphs"])
        assert graphs[0] == graphs[-1] == (1 if training else 2)
    assert not counters["graph_break"]
    assert "Warn" not in capfd.readouterr().err


def test_compiled_weights_have_the_same_names():
    network = make(None)
    names = list(network.state_dict())
    compile_network(network)
    assert list(network.state_dict()) == names
    assert list(copy.deepcopy(network).state_dict()) == names


def test_other_networks_are_compiled_as_a_whole():
    network = torch.nn.Linear(2, 2)
    compile_network(network)
    assert network._compiled_call_impl is not None
