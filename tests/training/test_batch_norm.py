import types

import pytest
import torch
from torch import nn

from pyg_samsa.training.batch_norm import PreciseBatchNorm, has_batch_norm
from pyg_samsa.training.data_module import SplitData


def module(network):
    return types.SimpleNamespace(network=network)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, 1))


def batches(count):
    return list(torch.randn(count, 8, 3, generator=torch.Generator().manual_seed(1)))


def test_statistics_are_means_over_the_last_batches():
    net, callback, seen = network(), PreciseBatchNorm(3), batches(5)
    net[1].p = 0.0
    for number, batch in enumerate(seen):
        callback.on_train_batch_start(None, module(net), batch, number)
    callback.on_validation_epoch_start(None, module(net))
    hidden = [net[0](batch) for batch in seen[2:]]
    torch.testing.assert_close(net[2].running_mean, torch.stack([h.mean(0) for h in hidden]).mean(0))
    torch.testing.assert_close(net[2].running_var, torch.stack([h.var(0) for h in hidden]).mean(0))


def test_mode_momentum_weights_gradients_and_random_numbers_stay():
    net, callback = network(), PreciseBatchNorm(2)
    for batch in batches(2):
        callback.keep(batch)
    weights = [weight.clone() for weight in net.parameters()]
    state = torch.get_rng_state()
    for training in (True, False):
        net.train(training)
        callback.update(net)
        assert all(child.training == training for child in net.modules())
    assert net[2].momentum == 0.1
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), weights, strict=True))
    assert all(weight.grad is None for weight in net.parameters())


def test_an_epoch_updates_once(monkeypatch):
    net, callback, calls = network(), PreciseBatchNorm(2), []
    net.register_forward_hook(lambda *_: calls.append(1))
    for batch in batches(2):
        callback.keep(batch)
    callback.on_train_epoch_end(None, module(net))  # an epoch without a batch, after those of an earlier part
    assert len(calls) == 2
    for validated in (True, False):
        calls.clear()
        for number, batch in enumerate(batches(2)):
            callback.on_train_batch_start(None, module(net), batch, number)
        if validated:
            callback.on_validation_epoch_start(None, module(net))
        callback.on_train_epoch_end(None, module(net))
        assert len(calls) == 2


@pytest.mark.parametrize("net", [nn.Linear(3, 1), nn.BatchNorm1d(3, track_running_stats=False)])
def test_networks_without_statistics_keep_no_batch(net):
    callback = PreciseBatchNorm(2)
    callback.on_train_batch_start(None, module(net), batches(1)[0], 0)
    callback.on_validation_epoch_start(None, module(net))
    assert not has_batch_norm(net)
    assert not callback.batches


def test_networks_may_replace_the_features_of_a_batch():
    class Doubles(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(1, momentum=None)

        def forward(self, batch):
            batch.x = 2 * batch.x
            return self.norm(batch.x)

    net, callback = Doubles(), PreciseBatchNorm(1)
    batch = types.SimpleNamespace(x=torch.tensor([[1.0], [2.0]]))
    callback.on_train_batch_start(None, module(net), batch, 0)
    net(batch)
    for _ in range(2):
        callback.on_validation_epoch_start(None, module(net))
        assert net.norm.running_mean.tolist() == [3.0]


def test_a_run_that_is_continued_takes_the_batches_of_the_epochs_before(rows):
    data = SplitData(rows, rows.split_idx, batch_size=4, seed=3)
    seen = [batch for epoch in range(2) for batch in data.loader("train", epoch=epoch)]
    strategy = types.SimpleNamespace(batch_to_device=lambda batch: batch)
    for epoch, expected in ((0, []), (1, seen[:3]), (2, seen[2:])):
        callback, state = PreciseBatchNorm(4), torch.get_rng_state()
        trainer = types.SimpleNamespace(datamodule=data, current_epoch=epoch, strategy=strategy)
        callback.on_train_start(trainer, module(nn.BatchNorm1d(4)))
        assert [batch.y.tolist() for batch in callback.batches.get("", [])] == [batch.y.tolist() for batch in expected]
        assert torch.equal(torch.get_rng_state(), state)
