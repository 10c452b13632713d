import copy

import pytest
import torch
from torch.nn import Parameter
from torch_geometric.data import Batch, Data

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.hub import load_pretrained, save_pretrained
from pyg_samsa.nn import SAMSA, MaskedEncoder, MultiTask, num_parameters
from pyg_samsa.nn.encoding.feature_encoder import make_encoder
from pyg_samsa.training.masked import columns_of

SIZE = {"channels": 16, "num_layers": 2, "heads": 4, "num_samples": 4, "local": "gine", "modality_vector": True}
WEIGHTS = {"molecules": 1.0, "points": 0.5, "sequences": 2.0}


def networks(**changes):
    torch.manual_seed(0)
    size = {**SIZE, **changes}
    made = {
        "molecules": SAMSA.from_options([5, 3], 2, edge_channels=[4], **size),
        "points": SAMSA.from_options(6, 3, bridge=False, level="node", **size),
        "sequences": SAMSA.from_options([7], 1, bridge=False, positions="sinusoidal", towers=2, **size),
    }
    for network in made.values():
        network.double().eval()
        with torch.no_grad():
            network.encoder.alpha.fill_(0.7)
            network.modality.normal_()
    return made


def molecule(nodes, seed):
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(0, nodes, (2, 2 * nodes), generator=generator)
    x = torch.stack([torch.randint(0, size, (nodes,), generator=generator) for size in (5, 3)], 1)
    return Data(x=x, edge_index=edge_index, edge_attr=torch.randint(0, 4, (2 * nodes, 1), generator=generator))


def cloud(points, seed):
    return Data(x=torch.randn(points, 6, dtype=torch.double, generator=torch.Generator().manual_seed(seed)))


def text(length, seed):
    x = torch.randint(0, 7, (length, 1), generator=torch.Generator().manual_seed(seed))
    return Data(x=x, edge_index=torch.stack([torch.arange(length - 1), torch.arange(1, length)]))


GRAPHS = {
    "molecules": [molecule(6, 0), molecule(2, 1), molecule(9, 2), molecule(1, 3)],
    "points": [cloud(7, 0), cloud(1, 1), cloud(12, 2), cloud(3, 3)],
    "sequences": [text(8, 0), text(3, 1), text(5, 2), text(1, 3)],
}


def run(model, task, graphs):
    batch = Batch.from_data_list(graphs)
    return model(task, batch.x, batch.edge_index, batch.edge_attr, batch.batch, batch_size=len(graphs))


def loss_of(model, task):
    return (run(model, task, GRAPHS[task]) - 0.3).square().mean()


def gradients(model):
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def test_a_step_gives_each_task_its_own_gradients_and_the_encoder_their_weighted_sum():
    together = MultiTask(networks())
    sum(WEIGHTS[task] * loss_of(together, task) for task in WEIGHTS).backward()
    found = gradients(together)
    shared = {}
    for task, weight in WEIGHTS.items():
        alone = MultiTask(networks())
        loss_of(alone, task).backward()
        first = next(iter(WEIGHTS))
        for name, value in gradients(alone).items():
            if ".encoder." in name:
                # The encoder is named after the first task.
                shared[name] = shared.get(name, 0) + weight * value
                assert name.startswith(f"networks.{first}.")
            else:
                assert name.startswith(f"networks.{task}.")
                torch.testing.assert_close(found.pop(name), weight * value, rtol=1e-10, atol=1e-10)
    assert found.keys() == shared.keys()
    assert any(value.abs().max() > 1e-6 for value in shared.values())
    for name, value in shared.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("task", WEIGHTS)
def test_a_graph_does_not_see_its_batch_mates(task):
    model, graphs = MultiTask(networks()), GRAPHS[task]
    together = run(model, task, graphs)
    if task == "sequences":  # pairs
        alone = [run(model, task, graphs[:2]), run(model, task, graphs[2:])]
    else:
        alone = [run(model, task, [graph]) for graph in graphs]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("task", ["molecules", "points"])
def test_the_order_of_nodes_does_not_matter(task):
    model, graph = MultiTask(networks()), GRAPHS[task][2]
    order = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(1))
    rank = torch.argsort(order)
    other = copy.copy(graph)
    other.x = graph.x[order]
    if graph.edge_index is not None:
        other.edge_index = rank[graph.edge_index]
    expected, found = run(model, task, [graph]), run(model, task, [other])
    torch.testing.assert_close(found, expected[order] if task == "points" else expected, rtol=1e-9, atol=1e-9)


def test_the_networks_that_are_given_stay_as_they_are():
    given = networks()
    before = {name: network.encoder for name, network in given.items()}
    model = MultiTask(given)
    assert all(given[name].encoder is encoder for name, encoder in before.items())
    assert all(network.encoder is given["molecules"].encoder for network in model.networks.values())
    assert model.encoder is given["molecules"].encoder


def test_weights_are_counted_once_and_copied_together():
    given = networks()
    model = MultiTask(given)
    twice = num_parameters(given["points"].encoder) + num_parameters(given["sequences"].encoder)
    assert num_parameters(model) == sum(map(num_parameters, given.values())) - twice
    copied = copy.deepcopy(model)
    assert copied.encoder is copied.networks["points"].encoder is not model.encoder
    with torch.no_grad():
        copied.encoder.alpha.fill_(0.1)
    assert copied.networks["sequences"].encoder.alpha.item() == pytest.approx(0.1)
    assert model.encoder.alpha.item() == pytest.approx(0.7)
    fresh = MultiTask(networks())
    fresh.reset_parameters()
    fresh.load_state_dict(model.state_dict())
    for task in WEIGHTS:
        assert torch.equal(run(fresh, task, GRAPHS[task]), run(model, task, GRAPHS[task]))


def test_a_module_that_is_replaced_counts():
    model = MultiTask(networks())
    other = networks()["points"].readout
    model.networks["points"].readout = other
    with torch.no_grad():
        other.head.net[-1].bias.fill_(5.0)
        other.head.net[-1].weight.zero_()
    assert torch.equal(run(model, "points", GRAPHS["points"]), torch.full((23, 3), 5.0, dtype=torch.double))


def test_one_task_is_saved_as_an_ordinary_network(tmp_path):
    model = MultiTask(networks()).float()
    folder = save_pretrained(model.networks["points"], tmp_path / "points")
    loaded, config = load_pretrained(folder)
    assert config.options["modality_vector"] is True
    x = GRAPHS["points"][2].x.float()
    assert torch.equal(loaded(x), model("points", x))


@pytest.mark.parametrize("local", [None, "gine", "gatedgcn"])
def test_edges_with_and_without_features_have_one_encoder(local):
    size = {**SIZE, "local": local}
    with_features = SAMSA.from_options(5, 1, edge_channels=3, bridge=False, **size)
    without = SAMSA.from_options(4, 1, bridge=False, **size)
    model = MultiTask({"a": with_features, "b": without}).eval()
    edge_index = torch.tensor([[0, 1], [1, 2]])
    assert model("b", torch.randn(3, 4), edge_index).shape == (1, 1)
    assert model("a", torch.randn(3, 5), edge_index, torch.randn(2, 3)).shape == (1, 1)


def test_tasks_of_a_modality_share_its_vector_and_its_tokenizer():
    def clouds(seed):
        torch.manual_seed(seed)
        return {name: SAMSA.from_options(6, width, bridge=False, **SIZE) for name, width in (("a", 2), ("b", 5))}

    modalities = {"a": "points", "b": "points"}
    separate = MultiTask(clouds(0), modalities=modalities)
    assert separate.networks["a"].modality is separate.networks["b"].modality
    assert separate.networks["a"].tokenizer is not separate.networks["b"].tokenizer
    shared = MultiTask(clouds(0), modalities=modalities, share_tokenizers=True)
    assert shared.networks["a"].tokenizer is shared.networks["b"].tokenizer
    assert num_parameters(separate) - num_parameters(shared) == num_parameters(shared.networks["a"].tokenizer)
    different = MultiTask(clouds(0))
    assert different.networks["a"].modality is not different.networks["b"].modality
    assert different.modalities == {"a": "a", "b": "b"}


def test_what_cannot_be_shared_is_named():
    given = networks()
    other = networks(num_samples=8)["points"]
    with pytest.raises(
        ConfigError, match=r"the encoder of points: blocks\.0\.conv\.\S*: got .*8.*as that of molecules"
    ):
        MultiTask({"molecules": given["molecules"], "points": other})
    with pytest.raises(ConfigError, match="the tokenizer of points"):
        MultiTask(given, modalities=dict.fromkeys(given, "one"), share_tokenizers=True)
    for name in ("a.b", "keys", ""):
        with pytest.raises(ConfigError, match="task: got"):
            MultiTask({name: given["points"]})
    with pytest.raises(ConfigError, match="at least one network"):
        MultiTask({})
    with pytest.raises(ConfigError, match="task: got 'pointz', expected one of 'molecules', 'points'") as caught:
        MultiTask(given)("pointz", torch.randn(3, 6))
    assert caught.value.hint == "Did you mean 'points'?"


def test_the_vector_of_the_modality_is_added_to_all_tokens():
    network = networks()["molecules"]
    graph = GRAPHS["molecules"][0]
    seen = []
    network.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0].x))
    network(graph.x, graph.edge_index, graph.edge_attr)
    vector, network.modality = network.modality, None
    network(graph.x, graph.edge_index, graph.edge_attr)
    torch.testing.assert_close(seen[0], seen[1] + vector, rtol=1e-12, atol=1e-12)
    with pytest.raises(ShapeError, match="modality"):
        SAMSA(network.tokenizer, network.encoder, modality=Parameter(torch.zeros(3)))


def masked(features, width=16):
    return MaskedEncoder(make_encoder("x", features, width), len(columns_of(features)), width)


@pytest.mark.parametrize("first", ["plain", "masked"])
def test_masked_tasks_share_all_of_a_tokenizer_but_the_vectors_of_hidden_features(first):
    size = {**SIZE, "bridge": True}
    made = {
        "plain": SAMSA.from_options([5, 3], 2, edge_channels=[4], **size),
        "masked": SAMSA.from_options(masked([5, 3]), 12, edge_channels=masked([4]), level="token", **size),
        "again": SAMSA.from_options(masked([5, 3]), 12, edge_channels=masked([4]), level="token", **size),
    }
    order = sorted(made, key=lambda name: name != first)
    joined = MultiTask({name: made[name] for name in order}, modalities=dict.fromkeys(made, "m"), share_tokenizers=True)
    plain, hidden, again = (joined.networks[name].tokenizer for name in ("plain", "masked", "again"))
    for kind in ("node_encoder", "edge_encoder"):
        one, other = getattr(hidden, kind), getattr(again, kind)
        assert one.encoder is getattr(plain, kind)
        assert other.encoder is getattr(plain, kind)
        assert one.hidden is not other.hidden
    assert hidden.bridge is plain.bridge
    batch = Batch.from_data_list(GRAPHS["molecules"])
    for name in ("masked", "again"):
        seen = [torch.cat([values, torch.zeros_like(values)], 1) for values in (batch.x, batch.edge_attr)]
        # Nothing is hidden, so that the tokens are those of the task with labels.
        keys = torch.arange(batch.num_nodes)
        found = joined.networks[name].eval().tokenizer(seen[0], batch.edge_index, seen[1], batch.batch, code_keys=keys)
        expected = plain.eval()(batch.x, batch.edge_index, batch.edge_attr, batch.batch, code_keys=keys)
        torch.testing.assert_close(found.x, expected.x)
    assert type(made["masked"].tokenizer.node_encoder) is MaskedEncoder
    assert made["masked"].tokenizer.node_encoder.encoder is not plain.node_encoder or first == "masked"


def test_masked_tokenizers_of_other_features_are_not_shared():
    made = {
        "plain": SAMSA.from_options([5, 3], 2, edge_channels=[4], **SIZE),
        "masked": SAMSA.from_options(masked([5, 2]), 7, edge_channels=[4], level="node", **SIZE),
    }
    with pytest.raises(ConfigError, match=r"the tokenizer of masked: node_encoder"):
        MultiTask(made, modalities=dict.fromkeys(made, "m"), share_tokenizers=True)
