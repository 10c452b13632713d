import pytest
from torch_geometric.graphgym.config import cfg

from pyg_samsa.graphgym.changes import Changes, rule_in


@pytest.fixture
def rules():
    """A rule that shortens the warm-up to the epochs, and one that always acts."""
    found = []

    @rule_in(found, "`optim.num_warmup_epochs`", "optim.max_epoch", becomes="half of the epochs")
    def warmup(changes):
        changes.change("optim.num_warmup_epochs", cfg.optim.max_epoch / 2, "optim.max_epoch is short")

    @rule_in(found, "`train.patience`", becomes="0", because="data")
    def patience(changes, *data):
        changes.change("train.patience", 0, "a reason")

    return found


def test_a_rule_acts_on_what_was_asked_for(rules):
    cfg.optim.max_epoch, cfg.optim.num_warmup_epochs, cfg.train.patience = 2, 3.0, 5
    changes = Changes({"seed"})
    changes.apply(rules)
    assert (cfg.optim.num_warmup_epochs, cfg.train.patience) == (3.0, 0)
    assert changes.notes == ["train.patience 5 -> 0 (a reason)"]
    changes = Changes({"optim.max_epoch"})
    changes.apply(rules)
    assert changes.notes == ["optim.num_warmup_epochs 3 -> 1 (optim.max_epoch is short)"]
    assert changes.shortened == {"optim.num_warmup_epochs": 3.0}


def test_what_was_asked_for_does_not_give_way(rules):
    cfg.optim.max_epoch, cfg.optim.num_warmup_epochs = 2, 3.0
    changes = Changes({"optim.max_epoch", "optim.num_warmup_epochs"})
    changes.apply(rules)
    assert cfg.optim.num_warmup_epochs == 3.0
    assert not changes.notes


def test_what_was_shortened_before_may_be_shortened_again(rules):
    cfg.optim.max_epoch, cfg.optim.num_warmup_epochs = 2, 3.0
    changes = Changes(earlier={"optim.num_warmup_epochs"})
    changes.apply(rules[:1])
    assert cfg.optim.num_warmup_epochs == 1.0
    changes = Changes(earlier={"train.eval_period"})
    cfg.optim.num_warmup_epochs = 3.0
    changes.apply(rules[:1])
    assert cfg.optim.num_warmup_epochs == 3.0


def test_a_second_change_notes_the_first_value_and_none_is_noted_twice(rules):
    cfg.optim.max_epoch, cfg.optim.num_warmup_epochs = 2, 3.0
    changes = Changes({"optim.max_epoch"})
    for _ in range(2):
        changes.apply(rules[:1])
    cfg.optim.max_epoch = 1
    changes.apply(rules[:1])
    assert len(changes.notes) == 2
    assert changes.shortened == {"optim.num_warmup_epochs": 3.0}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("optim.base_lr", 1e-4, "0.01 -> 0.0001"),
        ("dataset.descriptors", ["maccs"], "[] -> [maccs]"),
        ("train.tokens_per_batch", 8, "null -> 8"),
        ("run_name", "mine", "'' -> mine"),
    ],
)
def test_values_are_shown_as_they_are_written(key, value, text):
    changes = Changes()
    changes.change(key, value, "why")
    assert changes.notes == [f"{key} {text} (why)"]
