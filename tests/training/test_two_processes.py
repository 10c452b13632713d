"""Two processes with unequal shares of a batch have the gradients, losses and errors of one process."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch_geometric.data import Batch, Data

from pyg_samsa import metrics
from pyg_samsa.errors import NumericalError
from pyg_samsa.nn import SAMSA
from pyg_samsa.training import losses
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.module import TaskModule
from tests import fresh_process

NAN = "training loss at step 0 (epoch 1, batch 1): is nan True"
SHARES = (slice(0, 3), slice(3, 8))
CASES = {
    "bce": "ap",
    "mse": "mae",
    "smooth_l1": "rmse",
    "l1": "mae",
    "cross_entropy": "accuracy",
    "weighted_cross_entropy": "f1_macro",
    "plain": "mae",
}


def graphs(name: str) -> list[Data]:
    """Eight graphs of three targets; most labels of the first process are missing."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for number in range(8):
        nodes = int(torch.randint(2, 9, (1,), generator=generator))
        x = torch.randn(nodes, 4, generator=generator, dtype=torch.float64)
        y = torch.randint(0, 2, (1, 3), generator=generator).double()
        missing = torch.rand(1, 3, generator=generator) < (0.8 if number < 3 else 0.2)
        y[missing & (torch.arange(3) > 0)] = 0.0 if name == "plain" else float("nan")
        if "cross_entropy" in name:
            y = torch.tensor([-100 if number == 1 else number % 3])
        data = Data(x=x, edge_index=torch.tensor([[0, 1], [1, 0]]), y=y)
        if name == "l1":  # with censored values
            data.y_bound = torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.float64)
        made.append(data)
    return made


def build(name: str) -> TaskModule:
    torch.manual_seed(0)
    size = {"channels": 8, "heads": 2, "num_layers": 2, "num_samples": 4, "dropout": 0.0}
    size |= {"noise": "never", "num_codes": 0}  # which differs between batches
    network = BatchNetwork(SAMSA.from_options(4, 3, **size)).double()
    options = {"label_smoothing": 0.1} if name == "weighted_cross_entropy" else {}
    loss = nn.functional.huber_loss if name == "plain" else losses.build(name, **options)
    return TaskModule(network, loss=loss, metrics={"score": metrics.build(CASES[name], 3)}, optimizer=torch.optim.SGD)


class Step(nn.Module):
    """The training step as distributed data parallel calls it."""

    def __init__(self, module: TaskModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.module.training_step(batch, 0)


def results(name: str, share: slice = slice(0, 8)) -> dict[str, torch.Tensor]:
    module = build(name)
    step = Step(module)
    if dist.is_initialized():
        step = nn.parallel.DistributedDataParallel(step, find_unused_parameters=True)
    loss = step(Batch.from_data_list(graphs(name)[share]))
    loss.backward()
    found = {key: value.grad for key, value in module.network.named_parameters() if value.grad is not None}
    measured = {key: metric.compute() for key, metric in module._of("train").items()}
    return {"loss": loss.detach(), **found, **measured}


def fail(*_: object) -> None:
    raise NumericalError("layer 0", "is not finite")


def error_of(module: TaskModule, batch: list[Data]) -> str:
    try:
        Step(module)(Batch.from_data_list(batch))
    except NumericalError as error:
        return f"{str(error).splitlines()[0]} {error.everywhere}"
    return ""


def worker(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    found = {name: results(name, SHARES[rank]) for name in CASES}
    broken = graphs("mse")[SHARES[rank]]
    if rank == 1:
        broken[0].y[0, 0] = float("inf")
    found["error"] = error_of(build("mse"), broken)
    # An error within the network of one process, in its first step and in a later one.
    module = build("mse")
    spoil = module.network.register_forward_hook(fail) if rank == 1 else None
    found["first"] = error_of(build("mse") if spoil is None else module, graphs("mse")[SHARES[rank]])
    if spoil is not None:
        spoil.remove()
    assert error_of(module, graphs("mse")[SHARES[rank]]) == ""
    if rank == 1:
        module.network.register_forward_hook(fail)
    found["later"] = error_of(module, graphs("mse")[SHARES[rank]])
    torch.save(found, f"{folder}/{rank}.pt")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_two_processes as tests"
    processes = [fresh_process.start(f"{code}; tests.worker({rank}, {str(folder)!r})") for rank in (0, 1)]
    try:
        errors = [process.communicate(timeout=120)[1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], errors
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("name", CASES)
def test_gradients_losses_and_metrics_are_those_of_one_process(both, name):
    one = results(name)
    assert len(one) > 20
    for two in both:
        assert two[name].keys() == one.keys()
        for key, value in one.items():
            assert torch.allclose(two[name][key], value, rtol=0, atol=1e-12), key


def test_a_loss_that_is_not_finite_in_one_process_is_an_error_in_both(both):
    assert [found["first"] for found in both] == [NAN, "layer 0: is not finite True"]
    assert [found["later"] for found in both] == [NAN, "layer 0: is not finite True"]
    assert [found["error"] for found in both] == [NAN] * 2
