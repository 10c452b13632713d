"""A training step on an accelerator reads nothing from the device.

Tensors on PyTorch's meta device have a shape but no values. Whatever needs a value there is an error: reading a number,
a boolean mask as an index, a result whose shape depends on values. So a step that runs on the meta device waits for no
device.
"""

import pytest
import torch
from torch_geometric.data import Data

from pyg_samsa.metrics import build
from pyg_samsa.nn import SAMSA
from pyg_samsa.nn.pair_decoder import EDGE_DECODINGS
from pyg_samsa.training import losses
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.module import TaskModule

LABELS = torch.tensor([[1.0, 0.0]])
META = torch.device("meta")
MODALITIES = {
    "Graph-Bridge": {"edge_channels": [3]},
    "nodes and GINE": {"edge_channels": [3], "bridge": False, "local": "gine"},
    "gated GCN": {"edge_channels": [3], "bridge": False, "local": "gatedgcn"},
    "incidence": {"edge_channels": [3], "local": "incidence"},
    "SFT": {"edge_channels": [3], "attention": "sft"},
    "FLT": {"edge_channels": [3], "attention": "flt", "attention_options": {"encoding": "none"}},
    "full attention": {"edge_channels": [3], "attention": "full"},
    "performer": {"edge_channels": [3], "attention": "performer"},
    "batch norm": {"edge_channels": [3], "head_norm": "batch", "dropout": 0.1, "drop_path": 0.1},
    "many tokens for a sample": {"edge_channels": [3], "num_samples": 1},
}


def graphs(sizes, y=LABELS):
    generator = torch.Generator().manual_seed(0)
    for size in sizes:
        nodes = torch.arange(size)
        yield Data(
            x=torch.randint(0, 4, (size, 2), generator=generator),
            edge_index=torch.stack([nodes, nodes.roll(1)]),
            edge_attr=torch.randint(0, 3, (size, 1), generator=generator),
            code_keys=torch.arange(size),
            y=y,
        )


class Guard:
    """Takes what is to be checked later, as one small copy in a step."""

    def __init__(self):
        self.copies = []

    def watch(self, value, where, checks=()):
        self.copies.append(len(checks))

    def flush(self):
        pass


def module_of(loss="bce", metrics=("ap",), **options):
    torch.manual_seed(0)
    options = {"channels": 16, "num_layers": 2, "heads": 2, "num_samples": 3, **options}
    if options.get("attention") in ("full", "performer", "flt"):
        del options["num_samples"]
    network = BatchNetwork(SAMSA.from_options([4, 4], 2, **options))
    built = {name: build(name, num_targets=2) for name in metrics}
    return TaskModule(network, loss=losses.build(loss), metrics=built, optimizer=torch.optim.AdamW)


def steps(module, sizes=(5, 3, 900, 1), y=LABELS, device=META):
    data = SplitData(list(graphs(sizes, y)), {"train": torch.arange(len(sizes)), "val": torch.arange(2)}, batch_size=4)
    module.to(device)
    module.guard = Guard()
    optimizer = torch.optim.AdamW(module.network.parameters())
    for batch in data.loader("train"):
        loss = module._step(batch.to(device), "train", "here")[0]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    module.eval()
    for batch in data.loader("val"):
        with torch.no_grad():
            module._step(batch.to(device), "val", "here")
    return module


@pytest.mark.parametrize("options", MODALITIES.values(), ids=MODALITIES)
def test_a_step_reads_nothing_from_the_device(options):
    module = steps(module_of(**options))
    assert len(module.guard.copies) == 2  # one copy in a step, which holds all checks
    assert module.guard.copies[0] >= 2


def test_nor_do_classes():
    module = module_of("cross_entropy", ("accuracy", "f1_macro"), edge_channels=[3])
    steps(module, y=torch.tensor([1.0]))


def test_reading_a_number_would_be_found():
    class Reads(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2))

        def forward(self, batch):
            return self.weight.expand(batch.num_graphs, 2) * batch.x.sum().item(), batch.y

    module = TaskModule(Reads(), loss=losses.build("bce"), metrics={}, optimizer=torch.optim.AdamW)
    with pytest.raises(RuntimeError, match="meta"):
        steps(module, [2, 3])


@pytest.mark.parametrize("edge_decoding", EDGE_DECODINGS)
def test_a_training_step_on_pairs_reads_nothing_from_the_device(edge_decoding):
    rows = list(graphs((5, 3, 40, 1)))
    for data in rows:
        data.edge_label_index = torch.tensor([[0], [data.num_nodes - 1]])
        data.edge_label = torch.ones(1)
    torch.manual_seed(0)
    options = {"channels": 16, "num_layers": 1, "heads": 2, "num_samples": 3, "edge_channels": [3]}
    network = BatchNetwork(SAMSA.from_options([4, 4], 1, level="link", edge_decoding=edge_decoding, **options))
    metrics = {name: build(name, num_targets=1) for name in ("mrr", "ap")}
    module = TaskModule(network, loss=losses.build("bce"), metrics=metrics, optimizer=torch.optim.AdamW).to(META)
    assert set(module._of("train_")) == {"train_loss", "train_ap"}
    module.guard = Guard()
    (batch,) = SplitData(rows, {"train": torch.arange(4)}, batch_size=4).loader("train")
    module._step(batch.to(META), "train", "here")[0].backward()
    assert len(module.guard.copies) == 1
