"""A run of a sweep in its own process: ``python -m pyg_samsa.experiments.sweep_cell CONFIG ANSWER KEY [key value]``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pyg_samsa.errors import EXIT_USER, SAMSAError
from pyg_samsa.io.files import UNWRITABLE, atomic_write, describe_unwritable, remove_partial
from pyg_samsa.io.user_code import import_user_code

EXIT_INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Run a config once, and write the folder of the run and its peak memory to a file.

    Args:
        argv: ``--import MODULE`` for each module of the user's own, config, JSON file to write, digest of the settings,
            and overrides ``key value ...``.

    Returns:
        Exit code: 0, that of the error, or 130 for Ctrl-C.
    """
    imports, words = [], list(argv)
    while words[:1] == ["--import"]:
        imports.append(words[1])
        del words[:2]
    config, answer, key, *opts = words
    try:
        import_user_code(imports)
        from pyg_samsa.experiments import run as runner

        (result,) = runner.run(config, opts, verbosity=-1, predictor=False)
    except SAMSAError as error:
        print(f"error: {error}" + (f" ({error.hint})" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        print(f"error: {describe_unwritable(error)}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    # A finished run was not repeated, so its memory is unknown.
    memory = None if result.reused else peak_memory()
    remove_partial(answer)
    with atomic_write(Path(answer)) as temporary:
        temporary.write_text(
            json.dumps({"key": key, "folder": str(result.folder.path.resolve()), "peak_memory_mib": memory}),
            encoding="utf-8",
        )
    return 0


def peak_memory() -> float | None:
    """Return the peak memory in MiB, of the CUDA device if one was used, otherwise of this process; None if unknown.

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
