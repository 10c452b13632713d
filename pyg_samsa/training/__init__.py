"""Training with plain arguments: Lightning module, data module, runner and the folder of a run."""

from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.fit import fit_and_test
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import RunFolder, open_run_folder
from pyg_samsa.training.trainer import TrainerOptions

__all__ = [
    "BatchNetwork",
    "RunFolder",
    "RunResult",
    "SplitData",
    "TaskModule",
    "TrainerOptions",
    "fit_and_test",
    "open_run_folder",
]
