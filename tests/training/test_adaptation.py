import copy

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from pyg_samsa.errors import ConfigError
from pyg_samsa.hub import load_pretrained, save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.training.adaptation import AdaptationOptions, adapt, merged
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.optimizers import parameter_groups


def network():
    torch.manual_seed(0)
    made = BatchNetwork(SAMSA.from_options(3, 2, channels=16, num_layers=2, heads=4, num_samples=4, local="gine"))
    with torch.no_grad():
        made.model.encoder.alpha.fill_(0.5)
    return made


BATCH = Batch.from_data_list([Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]))])


def trained(made, steps=3):
    optimizer = torch.optim.SGD(parameter_groups(made, 0.0), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        (made(copy.copy(BATCH))[0] - 1).square().mean().backward()
        optimizer.step()


def changed(before, made):
    return {name for name, value in made.state_dict().items() if not torch.equal(value, before[name])}


def test_all_weights_are_trained_by_default():
    made = network()
    adapt(made, AdaptationOptions(), [])
    assert all(weight.requires_grad for weight in made.parameters())


def test_only_the_readout_and_new_weights_are_trained():
    made = network()
    new = ["model.tokenizer.node_encoder.weight"]
    adapt(made, AdaptationOptions("readout"), new)
    before = copy.deepcopy(made.state_dict())
    trained(made)
    found = changed(before, made)
    assert new[0] in found
    assert found - set(new)
    assert all(name.startswith("model.readout.") for name in found - set(new))


@pytest.mark.parametrize("rank", [1, 4, 1000])
def test_low_rank_updates_start_from_the_network_and_leave_its_matrices(rank):
    made = network().eval()
    expected = made(copy.copy(BATCH))[0]
    matrices = {name: value.clone() for name, value in made.model.encoder.state_dict().items()}
    adapt(made, AdaptationOptions("lora", lora_rank=rank), [])
    torch.testing.assert_close(made(copy.copy(BATCH))[0], expected)
    trained(made)
    names = [name for name, _ in made.model.encoder.named_modules()]
    assert any("parametrizations" in name for name in names)
    query = made.model.encoder.blocks[0].conv.query
    original = query.parametrizations.weight.original
    assert torch.equal(original, matrices["blocks.0.conv.query.weight"])
    update = query.weight - original
    assert update.abs().max() > 0
    assert torch.linalg.matrix_rank(update.double(), atol=1e-7) <= min(rank, 16)
    assert query.parametrizations.weight[0].down.shape[0] == min(rank, 16)


def test_merged_updates_give_the_same_predictions_and_can_be_saved(tmp_path):
    made = network().eval()
    assert merged(made) is made
    adapt(made, AdaptationOptions("lora", lora_rank=2), [])
    trained(made)
    plain = merged(made)
    assert isinstance(made.model.encoder.blocks[0].conv.query.parametrizations, nn.ModuleDict)
    torch.testing.assert_close(plain(copy.copy(BATCH))[0], made(copy.copy(BATCH))[0])
    assert plain.state_dict().keys() == network().state_dict().keys()
    loaded, _ = load_pretrained(save_pretrained(plain.model, tmp_path / "saved"))
    torch.testing.assert_close(loaded(BATCH.x, BATCH.edge_index), made(copy.copy(BATCH))[0])


def test_wrong_options_are_refused():
    with pytest.raises(ConfigError, match="adapt: got 'half'"):
        AdaptationOptions("half")
    with pytest.raises(ConfigError, match="lora_rank: got 0"):
        AdaptationOptions("lora", lora_rank=0)
    with pytest.raises(ConfigError, match=r"train\.adapt: got 'lora'"):
        adapt(nn.Linear(2, 2), AdaptationOptions("lora"), [])
