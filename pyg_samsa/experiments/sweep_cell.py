"""One run of a sweep, in a process of its own: ``python -m pyg_samsa.experiments.sweep_cell CONFIG ANSWER KEY [key value ...]``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pyg_samsa.errors import SAMSAError
from pyg_samsa.io.files import atomic_write

EXIT_INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Run a configuration once and write where its results lie and the most memory that it needed.

    Args:
        argv: Configuration, JSON file to write, what tells these settings from others, and ``key value ...``.

    Returns:
        Exit code: that of the error, 130 for Ctrl-C.
    """
    from pyg_samsa.experiments import run as runner

    config, answer, key, *opts = argv
    try:
        (result,) = runner.run(config, opts, verbosity=-1)
    except SAMSAError as error:
        print(f"error: {error}" + (f" ({error.hint})" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    # A run that had finished before needed its memory in another process.
    memory = None if result.reused else peak_memory()
    with atomic_write(Path(answer)) as temporary:
        temporary.write_text(
            json.dumps({"key": key, "folder": str(result.folder.path.resolve()), "peak_memory_mib": memory}),
            encoding="utf-8",
        )
    return 0


def peak_memory() -> float | None:
    """Return the most memory in MiB: of the CUDA device where one was used, else of this process; None where the system does not tell.

    Example:
        >>> peak_memory() is None or peak_memory() > 1
        True
    """
    import torch

    if torch.cuda.is_available() and (most := torch.cuda.max_memory_allocated()):
        return round(most / 2**20, 1)
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Linux counts in KiB, macOS in bytes.
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
