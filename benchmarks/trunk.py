"""One network for several modalities against networks for each task alone: scores, transfer and speed.

    python -m benchmarks.trunk together --seeds 0 1 2        # trunk.yaml against each of its tasks alone
    python -m benchmarks.trunk longer --times 4              # each task alone, trained four times as long
    python -m benchmarks.trunk transfer --seeds 0 1 2        # a trunk of the other tasks, fine-tuned on one
    python -m benchmarks.trunk masked --seeds 0 1 2          # training without labels first, then few labels
    python -m benchmarks.trunk conflict --seeds 0            # do gradients of tasks point in opposite directions?
    python -m benchmarks.trunk speed                         # a mixed epoch against the epochs of its tasks

Every run has its own folder below ``--out`` and is not repeated, so that an interrupted series goes on. Scores, tables
and figures are written beside the runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from benchmarks import trunk_report
from pyg_samsa.experiments.run import run
from pyg_samsa.graphgym.config import find_config, load_config
from pyg_samsa.graphgym.mixed_tasks import load_tasks, make_mixed_plan, read_tasks
from pyg_samsa.training.run_folder import SUMMARY, TASKS

SHARES = (0.05, 0.1, 0.25, 1.0)


def summary_of(folder: Path) -> dict[str, Any]:
    """Return the summary of a run."""
    return json.loads((folder / SUMMARY).read_text())


def run_once(config: str | Path, name: str, seed: int, args: argparse.Namespace, *opts: str) -> Path:
    """Run a configuration unless it has finished before; return its folder."""
    words = ["run_name", name, "seed", str(seed), "out_dir", str(args.out), "train.auto_resume", "True"]
    (result,) = run(str(config), [*words, *args.opts, *opts], verbosity=-1, predictor=False)
    return result.folder.path


def score_of(folder: Path) -> tuple[str, float]:
    """Return the metric that chose the epoch, and its test value."""
    summary = summary_of(folder)
    metric = summary["monitor"].removeprefix("val_")
    return metric, summary["test"][metric]


def write(rows: Sequence[Mapping[str, Any]], args: argparse.Namespace, name: str, found: pd.DataFrame) -> None:
    """Write the scores of all runs and their table beside the runs, and print the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(args.out / f"{name}.csv", index=False)
    (args.out / f"{name}.md").write_text(trunk_report.markdown(found) + "\n")
    print(found.to_string(index=False), flush=True)


def task_configs(args: argparse.Namespace) -> dict[str, Path]:
    """Write the configuration of each task of the mixture, and return their files by name.

    Such a file trains the task alone, with the same network and the same batches. Its seed is that of the run.
    """
    loaded = load_config(args.config, args.opts)
    plan = make_mixed_plan(loaded, load_tasks(loaded, progress=False), seed=0)
    folder = args.out / "configs"
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in plan.parts.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(part.config, sort_keys=False))
    return {name: folder / f"{name}.yaml" for name in plan.parts}


def together(args: argparse.Namespace) -> None:
    """Train the mixture, and each of its tasks alone with the same network and the same batches."""
    rows = []
    for seed in args.seeds:
        folder = run_once(args.config, Path(args.config).stem, seed, args)
        for own in sorted((folder / TASKS).iterdir()):
            metric, score = score_of(own)
            rows.append({"task": own.name, "metric": metric, "trained": "together", "seed": seed, "score": score})
            alone = run_once(own / "config.yaml", f"alone-{own.name}", seed, args)
            rows.append(
                {"task": own.name, "metric": metric, "trained": "alone", "seed": seed, "score": score_of(alone)[1]}
            )
            write(rows, args, "together", trunk_report.compared(pd.DataFrame(rows)))
    trunk_report.draw_differences(pd.DataFrame(rows), args.out / "together.png")


def longer(args: argparse.Namespace) -> None:
    """Train tasks alone for more epochs, since an encoder that is shared is trained by the steps of all tasks."""
    rows = []
    configs = task_configs(args)
    for seed in args.seeds:
        for name in args.tasks or configs:
            epochs = args.times * yaml.safe_load(configs[name].read_text())["optim"]["max_epoch"]
            for how, label, opts in (
                ("alone", "alone", ()),
                (f"{args.times} times as long", f"longer-{args.times}", ("optim.max_epoch", str(epochs))),
            ):
                metric, score = score_of(run_once(configs[name], f"{label}-{name}", seed, args, *opts))
                rows.append({"task": name, "metric": metric, "trained": how, "seed": seed, "score": score})
            write(rows, args, "longer", trunk_report.by_training(pd.DataFrame(rows)))


def without(config: str, name: str, out: Path) -> Path:
    """Write the configuration of a mixture without one of its tasks."""
    content = yaml.safe_load(find_config(config).read_text())
    entries = content["tasks"]
    content["tasks"] = [entry for entry, read in zip(entries, read_tasks(entries), strict=True) if read.name != name]
    path = out / f"without-{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def few_rows(share: float, seed: int) -> Callable[[Any], Any]:
    """Return a function that keeps a share of the training rows of a data set."""

    def keep(dataset: Any) -> Any:
        rows = dataset.split_idx["train"]
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        dataset.split_idx = {**dataset.split_idx, "train": rows[order[: max(1, round(share * len(rows)))]]}
        return dataset

    return keep


def transfer(args: argparse.Namespace) -> None:
    """Fine-tune a trunk of all other tasks on one, with some of its training rows, against training from scratch."""
    rows = []
    configs = task_configs(args)
    for seed in args.seeds:
        for name in args.tasks or configs:
            trunk = run_once(without(args.config, name, args.out), f"without-{name}", seed, args)
            rows += fine_tune(name, configs[name], {"trunk": trunk}, seed, args)
            write(rows, args, "transfer", trunk_report.by_share(pd.DataFrame(rows)))
    title = "A trunk of the other tasks, against new weights"
    trunk_report.draw_curves(pd.DataFrame(rows), args.out / "transfer.png", title)


def fine_tune(
    name: str, config: Path, sources: Mapping[str, Path], seed: int, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Train a task with some of its rows, from scratch and from other networks.

    Few rows give few steps in an epoch, so that there are more epochs: with a share of 0.25 four times as many, but at
    most ``--most`` times. All runs are validated equally often.
    """
    rows = []
    epochs = yaml.safe_load(config.read_text())["optim"]["max_epoch"]
    for share in args.shares:
        times = min(round(1 / share), args.most)
        length = ["optim.max_epoch", str(epochs * times), "train.eval_period", str(times)]
        for start, source in {"scratch": None, **sources}.items():
            for adapt in ("all",) if source is None else args.adapt:
                opts = [] if source is None else ["train.start_from", str(source), "train.adapt", adapt]
                opts += length
                label = start if source is None else f"{start}, {adapt}"
                told = f"{name}-{share:g}-{label}".replace(", ", "-")
                with training_rows(few_rows(share, seed)):
                    folder = run_once(config, told, seed, args, *opts)
                rows.append({"task": name, "share": share, "start": label, "seed": seed, "score": score_of(folder)[1]})
    return rows


class training_rows:
    """Changes the data set of runs within a ``with`` block."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        self.change = change

    def __enter__(self) -> None:
        from pyg_samsa.experiments import run as runner

        self.load = runner.load_for_runner
        runner.load_for_runner = lambda *args, **kwargs: self.change(self.load(*args, **kwargs))  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        from pyg_samsa.experiments import run as runner

        runner.load_for_runner = self.load


def masked(args: argparse.Namespace) -> None:
    """Train on hidden features of all training rows first, then on few labels, against training from scratch."""
    rows = []
    configs = task_configs(args)
    for seed in args.seeds:
        for name in args.tasks or ("peptides", "shapes"):
            source = run_once(configs[name], f"masked-{name}", seed, args, "dataset.task_type", "masked")
            rows += fine_tune(name, configs[name], {"masked": source}, seed, args)
            write(rows, args, "masked", trunk_report.by_share(pd.DataFrame(rows)))
    title = "Hidden features first, against new weights"
    trunk_report.draw_curves(pd.DataFrame(rows), args.out / "masked.png", title)


def speed(args: argparse.Namespace) -> None:
    """Compare the processor time of a mixed epoch with those of its tasks alone, in turns."""
    torch.set_num_threads(args.threads)
    loaded = load_config(args.config, args.opts)
    tasks = load_tasks(loaded)
    for task in tasks:
        rows = task.dataset.split_idx["train"]
        task.dataset.split_idx = {**task.dataset.split_idx, "train": rows[: args.rows]}
    plan = make_mixed_plan(loaded, tasks, seed=0)
    network: Any = plan.build_network()
    module = plan.make_module(network)
    data = plan.make_data()
    found: dict[str, list[float]] = {}
    for turn in range(args.repeats):
        for name, part in {"together": data, **data.parts}.items():
            found.setdefault(name, []).append(epoch(network, module, part.loader("train", epoch=turn), name))
    best = {name: min(values) for name, values in found.items()}
    alone = sum(value for name, value in best.items() if name != "together")
    rows = [{"epoch": name, "seconds": value} for name, value in best.items()]
    rows += [{"epoch": "sum of tasks", "seconds": alone}, {"epoch": "ratio", "seconds": best["together"] / alone}]
    write(rows, args, "speed", pd.DataFrame(rows))


def epoch(network: Any, module: Any, loader: Any, task: str) -> float:
    """Return the processor time of a training epoch."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network.train()
    started = time.process_time()
    for batch in loader:
        if task != "together":
            batch.task_name = task
        optimizer.zero_grad()
        prediction, target = network(batch)
        module.losses[module.prefix_of(batch)](prediction, target).backward()
        optimizer.step()
    return time.process_time() - started


def conflict(args: argparse.Namespace) -> None:
    """Compare the gradients that the tasks give to the encoder, after one epoch and at the end of the training."""
    rows = []
    for seed in args.seeds:
        early = ["optim.max_epoch", "1", "optim.num_warmup_epochs", "0"]
        for when, folder in {
            "after one epoch": run_once(args.config, f"{Path(args.config).stem}-early", seed, args, *early),
            "at the end": run_once(args.config, Path(args.config).stem, seed, args),
        }.items():
            gradients = gradients_of(folder, args)
            for row in alignments(gradients):
                rows.append({"when": when, "seed": seed, **row})
            change = surgery({name: found.mean(0) for name, found in gradients.items()}, seed)
            rows.append({"when": when, "seed": seed, "tasks": "PCGrad changes the sum by", "mean": change})
    write(rows, args, "conflict", pd.DataFrame(rows))


def gradients_of(folder: Path, args: argparse.Namespace) -> dict[str, torch.Tensor]:
    """Return name of a task -> gradients of the encoder for some batches [batches, P], with the weights of a run.

    The ReZero scalar of all blocks is left out: its gradient is so large that it alone would decide.
    """
    loaded = load_config(args.config, args.opts)
    plan = make_mixed_plan(loaded, load_tasks(loaded, progress=False), seed=0)
    network: Any = plan.build_network()
    module, data = plan.make_module(network), plan.make_data()
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]
    module.load_state_dict(state, strict=False)
    network.train()
    encoder = [weight for weight in next(iter(network.parts.values())).model.encoder.parameters() if weight.dim()]
    found: dict[str, torch.Tensor] = {}
    for name, part in data.parts.items():
        own = []
        for batch, _ in zip(part.loader("train", epoch=0), range(args.batches), strict=False):
            batch.task_name = name
            loss = module.losses[module.prefix_of(batch)](*network(batch))
            own.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, encoder, materialize_grads=True)]))
        found[name] = torch.stack(own).double()
    return found


def alignments(gradients: Mapping[str, torch.Tensor]) -> list[dict[str, Any]]:
    """Return the cosines of gradients: of the means of two tasks, and of their single batches.

    Args:
        gradients: Name of a task -> gradients [batches, P].
    """
    rows = []
    for (first, one), (second, other) in itertools.combinations_with_replacement(gradients.items(), 2):
        cosines = torch.nn.functional.cosine_similarity(one[:, None], other[None], dim=2)
        if first == second:
            cosines = cosines[~torch.eye(len(one), dtype=torch.bool)]
        mean = torch.nn.functional.cosine_similarity(one.mean(0), other.mean(0), dim=0)
        row = {"tasks": f"{first}, {second}", "mean": float(mean), "batches": float(cosines.mean())}
        rows.append({**row, "negative": float((cosines < 0).double().mean())})
    return rows


def surgery(gradients: Mapping[str, torch.Tensor], seed: int) -> float:
    r"""Return by how much `PCGrad <https://arxiv.org/abs/2001.06782>`_ changes the sum of gradients, of its length.

    Of the gradient of each task, its part against the gradient of another task is taken away, for one task after
    another.

    Args:
        gradients: Name of a task -> gradient [P].
        seed: Seed of the order of the tasks.
    """
    generator = torch.Generator().manual_seed(seed)
    before, after = sum(gradients.values()), 0.0
    for name, gradient in gradients.items():
        others = [other for key, other in gradients.items() if key != name]
        for place in torch.randperm(len(others), generator=generator).tolist():
            product = gradient @ others[place]
            if product < 0:
                gradient = gradient - product / (others[place] @ others[place]) * others[place]
        after = after + gradient
    return float((after - before).norm() / before.norm())  # type: ignore[union-attr]


SERIES = {
    "together": together,
    "longer": longer,
    "transfer": transfer,
    "masked": masked,
    "conflict": conflict,
    "speed": speed,
}


def main() -> None:
    """Run a series."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", choices=list(SERIES))
    parser.add_argument("--config", default="trunk", help="configuration with tasks")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+", help="tasks that are fine-tuned (default: all; masked: two)")
    parser.add_argument("--times", type=int, default=4, help="how many times as long, for longer")
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES), help="shares of the training rows")
    parser.add_argument("--most", type=int, default=5, help="how many times as many epochs for few rows, at most")
    parser.add_argument("--adapt", nargs="+", default=["all"], help="values of train.adapt after a start")
    parser.add_argument("--threads", type=int, default=1, help="threads, for speed")
    parser.add_argument("--batches", type=int, default=8, help="batches of each task, for conflict")
    parser.add_argument("--rows", type=int, default=500, help="training rows of each task, for speed")
    parser.add_argument("--repeats", type=int, default=3, help="epochs of each kind, for speed; the fastest counts")
    parser.add_argument("--out", type=Path, default=Path("results/trunk-study"), help="folder of the runs")
    parser.add_argument("opts", nargs="*", help="key value ...: settings of all runs")
    args = parser.parse_intermixed_args()
    SERIES[args.series](args)


if __name__ == "__main__":
    main()
