import itertools
import math

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from pyg_samsa.errors import ConfigError
from pyg_samsa.training import schedulers

DECAYING = {
    "cosine_with_warmup": schedulers.cosine_with_warmup,
    "linear_with_warmup": schedulers.linear_with_warmup,
    "polynomial_with_warmup": schedulers.polynomial_with_warmup,
}


def sgd(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates or (1.0,)])


def run(schedule: dict, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    """Return the rate that each optimiser step really uses."""
    used = []
    for _ in range(steps):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    return used


@pytest.mark.parametrize("name", list(DECAYING))
@pytest.mark.parametrize("warmup_steps", [0, 1, 7, 99])
@pytest.mark.parametrize("min_ratio", [0.0, 0.1])
class TestDecaying:
    def test_warms_up_on_a_line_and_peaks_once_at_one(self, name: str, warmup_steps: int, min_ratio: float) -> None:
        values = [
            DECAYING[name](s, total_steps=100, warmup_steps=warmup_steps, min_ratio=min_ratio) for s in range(101)
        ]
        assert values[:warmup_steps] == pytest.approx([(s + 1) / (warmup_steps + 1) for s in range(warmup_steps)])
        assert values[warmup_steps] == max(values) == 1.0
        assert values.count(1.0) == 1

    def test_no_step_is_wasted_and_the_end_is_reached(self, name: str, warmup_steps: int, min_ratio: float) -> None:
        values = [
            DECAYING[name](s, total_steps=100, warmup_steps=warmup_steps, min_ratio=min_ratio) for s in range(131)
        ]
        assert min(values[:100]) > 0
        assert values[99] > min_ratio
        assert values[100:] == pytest.approx([min_ratio] * 31, abs=1e-12)

    def test_falls_without_a_jump(self, name: str, warmup_steps: int, min_ratio: float) -> None:
        total = 100 * (100 - warmup_steps) + warmup_steps
        values = [
            DECAYING[name](s, total_steps=total, warmup_steps=warmup_steps, min_ratio=min_ratio)
            for s in range(warmup_steps, total + 1)
        ]
        drops = [a - b for a, b in itertools.pairwise(values)]
        assert min(drops) >= 0
        assert max(drops) <= 2.001 / (total - warmup_steps)

    def test_build_uses_the_function_step_by_step(self, name: str, warmup_steps: int, min_ratio: float) -> None:
        optimizer = sgd(0.5)
        schedule = schedulers.build(name, optimizer, total_steps=100, warmup_steps=warmup_steps, min_ratio=min_ratio)
        assert (schedule["interval"], schedule["frequency"]) == ("step", 1)
        expected = [
            0.5 * DECAYING[name](s, total_steps=100, warmup_steps=warmup_steps, min_ratio=min_ratio) for s in range(100)
        ]
        assert run(schedule, optimizer, 100) == pytest.approx(expected)


def test_values_at_half_way() -> None:
    assert schedulers.cosine_with_warmup(60, total_steps=100, warmup_steps=20) == pytest.approx(0.5)
    assert schedulers.cosine_with_warmup(40, total_steps=100, warmup_steps=20) == pytest.approx(
        0.5 * (1 + math.cos(math.pi / 4))
    )
    assert schedulers.linear_with_warmup(40, total_steps=100, warmup_steps=20, min_ratio=0.2) == pytest.approx(
        0.2 + 0.8 * 0.75
    )
    assert schedulers.polynomial_with_warmup(60, total_steps=100, warmup_steps=20, power=3.0) == pytest.approx(0.125)


def test_constant_with_warmup_and_none() -> None:
    optimizer = sgd()
    assert run(schedulers.build("constant_with_warmup", optimizer, total_steps=9, warmup_steps=3), optimizer, 6) == [
        0.25,
        0.5,
        0.75,
        1.0,
        1.0,
        1.0,
    ]
    optimizer = sgd()
    assert run(schedulers.build("none", optimizer), optimizer, 3) == [1.0, 1.0, 1.0]


def test_unknown_length_is_enough_where_nothing_ends() -> None:
    assert schedulers.build("constant_with_warmup", sgd(), total_steps=math.inf, warmup_steps=5)["interval"] == "step"


def test_step_counts_epochs() -> None:
    optimizer = sgd()
    schedule = schedulers.build("step", optimizer, total_steps=10, steps_per_epoch=2, milestones=[1, 3], gamma=0.5)
    assert run(schedule, optimizer, 8) == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
    optimizer = sgd()
    schedule = schedulers.build(
        "step", optimizer, total_steps=10, steps_per_epoch=2, warmup_steps=1, every=2, gamma=0.1
    )
    assert run(schedule, optimizer, 9) == pytest.approx([0.5, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01])


def test_every_parameter_group_keeps_its_own_base_rate() -> None:
    optimizer = sgd(1.0, 0.01)
    run(schedulers.build("linear_with_warmup", optimizer, total_steps=10), optimizer, 5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.005])


def test_plateau() -> None:
    optimizer = sgd()
    schedule = schedulers.build(
        "plateau", optimizer, total_steps=100, monitor="val/ap", mode="max", factor=0.5, patience=1, min_lr=0.2
    )
    assert isinstance(schedule["scheduler"], ReduceLROnPlateau)
    assert (schedule["interval"], schedule["monitor"]) == ("epoch", "val/ap")
    rates = []
    for value in [0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]:
        schedule["scheduler"].step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.2]


def test_rates_are_repeated_epoch_by_epoch() -> None:
    optimizer = sgd(0.2)
    schedule = schedulers.repeat_rates(optimizer, [0.2, 0.1, 0.05], 2)
    assert run(schedule, optimizer, 8) == pytest.approx([0.2, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05])


def test_resumed_run_continues_and_may_be_longer(tmp_path) -> None:
    optimizer = sgd()
    schedule = schedulers.build("cosine_with_warmup", optimizer, total_steps=10, warmup_steps=2)
    run(schedule, optimizer, 6)
    torch.save(
        {"schedule": schedule["scheduler"].state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt"
    )
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    longer = sgd()
    resumed = schedulers.build("cosine_with_warmup", longer, total_steps=20, warmup_steps=2)
    resumed["scheduler"].load_state_dict(state["schedule"])
    longer.load_state_dict(state["optimizer"])
    longer.step()
    resumed["scheduler"].step()
    assert longer.param_groups[0]["lr"] == pytest.approx(
        schedulers.cosine_with_warmup(7, total_steps=20, warmup_steps=2)
    )


@pytest.mark.parametrize(
    "name", ["cosine_with_warmup", "linear_with_warmup", "polynomial_with_warmup", "constant_with_warmup"]
)
@pytest.mark.parametrize("warmup_steps", [100, 2000])
def test_warmup_that_does_not_end_is_an_error(name: str, warmup_steps: int) -> None:
    with pytest.raises(ConfigError, match=f"warmup_steps: got {warmup_steps}, expected fewer than the 100") as caught:
        schedulers.build(name, sgd(), total_steps=100, warmup_steps=warmup_steps)
    assert "shorten the warm-up" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "settings", "key"),
    [
        ("cosine", {"total_steps": 10}, "scheduler"),
        ("cosine_with_warmup", {}, "total_steps"),
        ("cosine_with_warmup", {"total_steps": math.inf}, "total_steps"),
        ("cosine_with_warmup", {"total_steps": 0}, "total_steps"),
        ("cosine_with_warmup", {"total_steps": math.nan}, "total_steps"),
        ("cosine_with_warmup", {"total_steps": 10, "warmup_steps": -1}, "warmup_steps"),
        ("cosine_with_warmup", {"total_steps": 10, "warmup_steps": 1.5}, "warmup_steps"),
        ("cosine_with_warmup", {"total_steps": 10, "min_ratio": 1.1}, "min_ratio"),
        ("cosine_with_warmup", {"total_steps": 10, "min_ration": 0.1}, "scheduler cosine_with_warmup"),
        ("polynomial_with_warmup", {"total_steps": 10, "power": 0}, "power"),
        ("none", {"total_steps": 10, "warmup_steps": 3}, "warmup_steps"),
        ("none", {"gamma": 0.1}, "scheduler none"),
        ("plateau", {"total_steps": 10, "warmup_steps": 3}, "warmup_steps"),
        ("plateau", {"mode": "maximum"}, "mode"),
        ("plateau", {"monitor": ""}, "monitor"),
        ("plateau", {"factor": 1.0}, "factor"),
        ("plateau", {"patience": -1}, "patience"),
        ("plateau", {"min_lr": -1.0}, "min_lr"),
        ("step", {"steps_per_epoch": 5}, "scheduler step"),
        ("step", {"steps_per_epoch": 5, "every": 1, "milestones": [1]}, "scheduler step"),
        ("step", {"every": 1}, "steps_per_epoch"),
        ("step", {"steps_per_epoch": 5, "every": 0}, "every"),
        ("step", {"steps_per_epoch": 5, "milestones": [3, 2]}, "milestones"),
        ("step", {"steps_per_epoch": 5, "milestones": [0, 2]}, "milestones"),
        ("step", {"steps_per_epoch": 5, "every": 1, "gamma": 0.0}, "gamma"),
    ],
)
def test_bad_settings(name: str, settings: dict, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        schedulers.build(name, sgd(), **settings)
    assert caught.value.key == key


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        schedulers.build("cosine_with_warm", sgd(), total_steps=10)
    assert caught.value.hint == "Did you mean 'cosine_with_warmup'?"


def test_lightning_takes_the_dict(tmp_path) -> None:
    from torch_geometric.graphgym.imports import pl

    class Model(pl.LightningModule):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.layer, self.name, self.rates = torch.nn.Linear(1, 1), name, []

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
            loss = self.layer(batch[0]).square().mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> dict:
            optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
            total = self.trainer.estimated_stepping_batches
            settings = {"monitor": "loss"} if self.name == "plateau" else {"warmup_steps": 1}
            return {
                "optimizer": optimizer,
                "lr_scheduler": schedulers.build(self.name, optimizer, total_steps=total, **settings),
            }

    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    rates = {}
    for name in ("cosine_with_warmup", "plateau"):
        model = Model(name)
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(3, 1)))
        pl.Trainer(accelerator="cpu", devices=1, max_epochs=2, default_root_dir=tmp_path, **quiet).fit(model, loader)
        rates[name] = model.rates
    assert rates["cosine_with_warmup"] == pytest.approx(
        [schedulers.cosine_with_warmup(s, total_steps=6, warmup_steps=1) for s in range(6)]
    )
    assert rates["plateau"] == [1.0] * 6


@pytest.mark.parametrize("name", schedulers.DECAY_TO_END)
def test_another_end_holds_from_the_next_step_on(name):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = schedulers.build(name, optimizer, total_steps=100, warmup_steps=2)["scheduler"]
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    schedulers.set_total_steps(scheduler, 8)
    found = []
    for _ in range(5):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    multiplier = getattr(schedulers, name)
    assert found == pytest.approx([multiplier(step, total_steps=8, warmup_steps=2) for step in range(4, 9)])
    with pytest.raises(ConfigError, match="total_steps: got 2, expected more than the 2 steps of the warm-up"):
        schedulers.set_total_steps(scheduler, 2)


@pytest.mark.parametrize("name", sorted(set(schedulers.available()) - set(schedulers.DECAY_TO_END)))
def test_schedules_without_an_end_stay_as_they_are(name):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    settings = {"step": {"every": 2}, "plateau": {}}.get(name, {})
    scheduler = schedulers.build(name, optimizer, total_steps=100, steps_per_epoch=3, **settings)["scheduler"]
    before = str(scheduler.state_dict())
    schedulers.set_total_steps(scheduler, 5)
    assert str(scheduler.state_dict()) == before
    assert schedulers.warmup_steps_of(scheduler) == 0
