"""What a process of ``tests.fresh_process`` has imported before it starts."""

from contextlib import suppress

import joblib.externals.loky.process_executor  # noqa: F401
import pandas  # noqa: F401
import torch_geometric.graphgym  # noqa: F401

import pyg_samsa.cli
import pyg_samsa.experiments.run
import pyg_samsa.predict  # noqa: F401

with suppress(ImportError):
    import rdkit.Chem  # noqa: F401
with suppress(ImportError):
    import tests.unpainted  # noqa: F401
