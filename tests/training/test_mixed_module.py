import copy
import types

import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa import metrics
from pyg_samsa.errors import NumericalError
from pyg_samsa.nn import SAMSA
from pyg_samsa.training import losses
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.mixed_module import MixedModule, Objective
from pyg_samsa.training.mixed_network import MixedNetwork, UncertaintyWeights
from pyg_samsa.training.module import TaskModule

SIZE = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4, "bridge": False}


def networks():
    torch.manual_seed(0)
    made = {
        "labels": BatchNetwork(SAMSA.from_options(3, 2, **SIZE)),
        "heights": BatchNetwork(SAMSA.from_options(5, 1, **SIZE)),
    }
    for network in made.values():
        network.double()
        with torch.no_grad():
            network.model.encoder.alpha.fill_(0.5)
    made["heights"].model.encoder.load_state_dict(made["labels"].model.encoder.state_dict())
    return made


def objectives(**weights):
    return {
        "labels": Objective(losses.build("bce"), {"ap": metrics.build("ap", 2)}, weights.get("labels", 1.0), "ap"),
        "heights": Objective(
            losses.build("l1"), {"mae": metrics.build("mae", 1)}, weights.get("heights", 1.0), "mae", False, 2.0
        ),
    }


def batch(task, seed=0, rows=4):
    generator = torch.Generator().manual_seed(seed)
    width, out = {"labels": (3, 2), "heights": (5, 1)}[task]
    graphs = [
        Data(
            x=torch.randn(row + 1, width, dtype=torch.double, generator=generator),
            y=torch.rand(1, out, dtype=torch.double, generator=generator).round(decimals=0 if task == "labels" else 4),
        )
        for row in range(rows)
    ]
    made = Batch.from_data_list(graphs)
    made.task_name = task
    return made


def module(loss_weights=None, accumulate=1, **weights):
    network = MixedNetwork(networks(), {"labels": "a", "heights": "b"}, loss_weights=loss_weights).double()
    made = MixedModule(network, objectives(**weights), optimizer=torch.optim.SGD, train_metrics=True)
    made._trainer = types.SimpleNamespace(
        accumulate_grad_batches=accumulate, global_step=0, current_epoch=0, is_global_zero=True, world_size=1
    )
    return made


def alone(task):
    objective = objectives()[task]
    made = TaskModule(
        networks()[task], loss=objective.loss, metrics=objective.metrics, optimizer=torch.optim.SGD, train_metrics=True
    )
    made._trainer = module()._trainer
    return made


def gradients(network):
    return {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}


def test_a_step_sums_the_gradients_of_its_batches_by_the_weights():
    together = module(accumulate=2, labels=1.0, heights=3.0).eval()
    for task in ("labels", "heights"):
        # The trainer divides the loss of each batch by their number.
        (together.training_step(batch(task), 0) / 2).backward()
    shared = {}
    for task, weight in (("labels", 1.0), ("heights", 3.0)):
        single = alone(task).eval()
        single.training_step(batch(task), 0).backward()
        part = gradients(together.network.parts[task])
        for name, value in gradients(single.network).items():
            if ".encoder." in name:
                shared[name] = shared.get(name, 0) + weight * value
            else:
                torch.testing.assert_close(part[name], weight * value, rtol=1e-10, atol=1e-12)
    found = gradients(together.network.parts["labels"])
    assert shared
    for name, value in shared.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-12)


def values_after(made, split, batches):
    logged = {}
    made.log_dict = lambda values, **_: logged.update({key: float(value) for key, value in values.items()})
    step = {"train": made.training_step, "val": made.validation_step, "test": made.test_step}[split]
    for number, each in enumerate(batches):
        step(each, number)
    made._finish(split)
    return logged


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_each_task_has_its_own_values_and_all_have_a_loss_and_a_score(split):
    batches = [batch("heights", 0), batch("labels", 1), batch("heights", 2, rows=1), batch("labels", 3)]
    found = values_after(module(labels=1.0, heights=3.0).eval(), split, batches)
    for task, names in (("labels", ("loss", "ap")), ("heights", ("loss", "mae"))):
        own = [each for each in batches if each.task_name == task]
        expected = values_after(alone(task).eval(), split, own)
        for name in names:
            assert found[f"{split}_{task}/{name}"] == pytest.approx(expected[f"{split}_{name}"], rel=1e-6)
    loss = (found[f"{split}_labels/loss"] + 3 * found[f"{split}_heights/loss"]) / 4
    assert found[f"{split}_loss"] == pytest.approx(loss)
    score = (found[f"{split}_labels/ap"] + 1 - found[f"{split}_heights/mae"] / 2) / 2
    assert found[f"{split}_score"] == pytest.approx(score)


def test_a_task_that_is_not_in_a_split_does_not_count():
    found = values_after(module().eval(), "val", [batch("heights")])
    assert found["val_loss"] == pytest.approx(found["val_heights/loss"])
    assert found["val_score"] == pytest.approx(1 - found["val_heights/mae"] / 2)
    assert not any("labels" in name for name in found)


def test_a_loss_that_is_not_finite_is_told():
    broken = batch("heights")
    broken.y = broken.y * torch.inf
    with pytest.raises(NumericalError, match="training loss at step 0"):
        module().training_step(broken, 0)


def test_learned_weights_balance_the_losses():
    weights = UncertaintyWeights({"labels": False, "heights": True})
    assert weights("labels", torch.tensor(2.0)).item() == 2.0
    assert weights("heights", torch.tensor(2.0)).item() == 1.0
    with torch.no_grad():
        weights.log_variances["heights"].fill_(0.5)
    expected = 2.0 * torch.tensor(-0.5).exp() / 2 + 0.25
    torch.testing.assert_close(weights("heights", torch.tensor(2.0)), expected)
    # The best logarithm of the variance is that of twice the loss over k.
    made = module(UncertaintyWeights({"labels": False, "heights": True}).double()).eval()
    made.training_step(batch("heights"), 0).backward()
    loss = float(alone("heights").eval().training_step(batch("heights"), 0))
    found = made.network.loss_weights.log_variances["heights"].grad
    assert float(found) == pytest.approx(0.5 - loss / 2)
    assert made.network.loss_weights.log_variances["labels"].grad is None


def test_the_network_gives_each_batch_to_its_task():
    given = networks()
    network = MixedNetwork(given, {"labels": "a", "heights": "b"}).double().eval()
    for task, part in given.items():
        part.model.encoder = network.parts["labels"].model.encoder
        expected = part.eval()(copy.copy(batch(task)))
        found = network(batch(task))
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], batch(task).y)
    assert network.modalities == {"labels": "a", "heights": "b"}
