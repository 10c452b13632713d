import pytest
from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import ConfigError
from pyg_samsa.training.batch_norm import PreciseBatchNorm
from pyg_samsa.training.checkpoint_io import BackgroundCheckpointIO
from pyg_samsa.training.run_folder import RunFolder
from pyg_samsa.training.trainer import PRECISIONS, TrainerOptions, build_trainer


@pytest.mark.parametrize(
    "wrong", [{"max_epochs": 0}, {"precision": "bf16-true"}, {"clip_norm": 0.0}, {"accumulate": 0}]
)
def test_trainer_options(wrong):
    with pytest.raises(ConfigError):
        TrainerOptions(**{"max_epochs": 1, **wrong})


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def made(folder, validates=True, **options):
    return build_trainer(folder, TrainerOptions(max_epochs=2, **options), [], [], validates)


@pytest.mark.parametrize(("given", "used"), PRECISIONS.items())
def test_every_precision(folder, given, used):
    if given.startswith("16"):
        pytest.skip("16-bit floats need a GPU")
    assert made(folder, accelerator="cpu", precision=given).precision == used


def test_options_reach_the_trainer(folder):
    trainer = made(folder, accelerator="cpu", clip_norm=0.5, accumulate=3, eval_every=2)
    assert trainer.max_epochs == 2
    assert trainer.gradient_clip_val == 0.5
    assert trainer.accumulate_grad_batches == 3
    assert trainer.check_val_every_n_epoch == 2
    assert trainer.limit_val_batches == 1.0
    assert trainer.num_devices == 1
    assert trainer.loggers == []
    assert isinstance(trainer.strategy.checkpoint_io, BackgroundCheckpointIO)


def test_without_a_validation_split_nothing_is_validated(folder):
    assert made(folder, validates=False, accelerator="cpu").limit_val_batches == 0


def test_one_process_where_the_devices_turn_out_to_be_one(folder):
    trainer = made(folder, accelerator="cpu", devices="auto")
    assert trainer.world_size == 1
    assert not isinstance(trainer.strategy, pl.strategies.DDPStrategy)


def test_several_processes_on_a_cpu_do_not_broadcast_buffers(folder):
    trainer = made(folder, accelerator="cpu", devices=2)
    assert trainer.world_size == 2
    assert trainer.strategy._ddp_kwargs["broadcast_buffers"] is False
    assert trainer.strategy.process_group_backend == "gloo"


def test_defaults(defaults):
    expected = {
        "accelerator": "auto",
        "devices": 1,
        "strategy": "auto",
        "process_timeout": 30.0,
        "precision": "32-true",
        "matmul_precision": "highest",
        "accumulate": 1,
        "eval_every": 1,
        "batch_norm_batches": 0,
        "patience": 0,
        "fit_schedule": False,
        "keep_best": True,
        "save_checkpoints": True,
        "compile": False,
    }
    assert expected.items() <= defaults(TrainerOptions).items()


def test_the_trainer_shows_and_samples_nothing_of_its_own(folder):
    trainer = made(folder, accelerator="cpu")
    names = {type(callback).__name__ for callback in trainer.callbacks}
    assert not names & {"ModelSummary", "TQDMProgressBar", "RichProgressBar"}
    assert (trainer.num_sanity_val_steps, trainer.log_every_n_steps, trainer.logger) == (0, 50, None)
    assert trainer._accelerator_connector.use_distributed_sampler is False
    assert trainer.default_root_dir == str(folder.path)
    assert made(folder, validates=False, accelerator="cpu").limit_val_batches == 0


@pytest.mark.parametrize(("batches", "expected"), [(0, []), (5, [5])])
def test_statistics_of_batches_are_computed_again_where_asked(folder, batches, expected):
    trainer = made(folder, accelerator="cpu", batch_norm_batches=batches)
    found = [one.num_batches for one in trainer.callbacks if isinstance(one, PreciseBatchNorm)]
    assert found == expected
