import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.training.launch import Launch, find_launch, without_launch

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
SRUN = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1"}


@pytest.mark.parametrize(
    ("environment", "launch"),
    [
        ({}, None),
        ({"RANK": "1", "WORLD_SIZE": "2"}, None),
        (TORCHRUN, Launch("torchrun", 4, 2, 5, 1)),
        (SRUN, Launch("srun", 2, 1, 1, 1)),
        ({**SRUN, **TORCHRUN}, Launch("torchrun", 4, 2, 5, 1)),  # torchrun within a job of SLURM
        ({**SRUN, "SLURM_JOB_NAME": "bash"}, None),
        ({"SLURM_NTASKS": "1"}, Launch("srun", 1, 1, 0, 0)),
    ],
)
def test_the_launch_is_read_from_the_environment(environment, launch):
    assert find_launch(environment) == launch


def test_tasks_without_their_number_on_a_machine_are_refused():
    with pytest.raises(ConfigError, match="--ntasks: got 2, expected --ntasks-per-node in its place"):
        find_launch({"SLURM_NTASKS": "2"})


def test_a_run_of_its_own_has_no_launch():
    left = without_launch({**SRUN, **TORCHRUN, "SLURM_JOB_ID": "7"})
    assert left == {"SLURM_JOB_ID": "7"}
    assert find_launch(left) is None
