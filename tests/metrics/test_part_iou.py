"""Part IoU against a plain numpy loop."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.metrics.part_iou import CategoryPartIoU, PartIoU, part_iou
from tests import fresh_process

PARTS = [[0, 1], [2], [3, 4, 5, 6], [7, 8, 9]]
NAN = float("nan")


def plain(preds, target, category, batch):
    """Shape by shape, part by part."""
    shapes = {kind: [] for kind in range(len(PARTS))}
    for shape, kind in enumerate(category):
        mine = batch == shape
        if not mine.any():
            continue
        found = np.array(PARTS[kind])[preds[mine][:, PARTS[kind]].argmax(1)]
        true, scores = target[mine], []
        for part in PARTS[kind]:
            union = np.sum((true == part) | (found == part))
            scores.append(1.0 if union == 0 else np.sum((true == part) & (found == part)) / union)
        shapes[kind].append(np.mean(scores))
    per_category = [np.mean(scores) if scores else NAN for scores in shapes.values()]
    return (
        np.mean(np.concatenate([np.array(scores) for scores in shapes.values()])),
        np.nanmean(per_category),
        per_category,
    )


def case(seed, kinds=(0, 1, 2, 3), shapes=9, points=200):
    generator = torch.Generator().manual_seed(seed)
    category = torch.tensor(kinds)[torch.randint(len(kinds), (shapes,), generator=generator)]
    batch = torch.randint(shapes, (points,), generator=generator)
    target = torch.tensor(
        [
            PARTS[kind][int(torch.randint(len(PARTS[kind]), (), generator=generator))]
            for kind in category[batch].tolist()
        ]
    )
    target[batch == 3] = torch.tensor(PARTS[int(category[3])][0])  # other parts of this shape are absent
    preds = torch.randn(points, 10, generator=generator)
    preds[torch.arange(points), target] += 1
    return preds, target, category, batch


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kinds", [(0, 1, 2, 3), (2,), (0, 3)])
def test_equals_the_plain_loop(seed, kinds):
    preds, target, category, batch = case(seed, kinds)
    expected = plain(*(values.numpy() for values in (preds, target, category, batch)))
    for average, value in zip(("instance", "category"), expected, strict=False):
        metric = PartIoU(PARTS, average=average)
        # The shapes arrive in three batches.
        for first in (0, 3, 6):
            mine = (batch >= first) & (batch < first + 3)
            metric.update(preds[mine], target[mine], category[first : first + 3], batch[mine] - first)
        assert metric.compute().item() == pytest.approx(value, abs=1e-12)
        np.testing.assert_allclose(metric.per_category().numpy(), expected[2], atol=1e-12)


def test_only_the_category_s_parts_compete():
    preds = torch.zeros(2, 10)
    preds[:, 9] = 100.0
    preds[0, 1] = preds[1, 0] = 1.0
    metric = PartIoU(PARTS)
    metric.update(preds, torch.tensor([1, 0]), torch.tensor([0]), torch.tensor([0, 0]))
    assert metric.compute() == 1


def test_absent_parts_count_one():
    target = torch.full((4,), 3)
    preds = torch.eye(10)[[3, 3, 3, 4]]
    score = part_iou(preds, target, torch.zeros(4, dtype=torch.long), PartIoU(PARTS).allowed[[2]])
    assert score.item() == pytest.approx((0.75 + 0 + 1 + 1) / 4)


def test_unlabelled_points_and_shapes_are_left_out():
    preds, target, category, batch = case(0)
    target[batch == 4] = -100
    target[::5] = -100
    known = target != -100
    metric, other = PartIoU(PARTS), PartIoU(PARTS)
    metric.update(preds, target, category, batch)
    preds[~known] = NAN
    other.update(preds, target, category.view(-1, 1), batch)
    expected = plain(*(values.numpy() for values in (preds[known], target[known], category, batch[known])))
    assert metric.compute().item() == other.compute().item() == pytest.approx(expected[0])
    assert metric.shapes.sum() == 8


@pytest.mark.parametrize("average", ["instance", "category"])
def test_nothing_labelled_is_nan_with_a_warning(average):
    metric = PartIoU(PARTS, average=average)
    metric.update(
        torch.empty(0, 10),
        torch.empty(0, dtype=torch.long),
        torch.empty(0, dtype=torch.long),
        torch.empty(0, dtype=torch.long),
    )
    metric.update(torch.zeros(1, 10), torch.tensor([-100]), torch.tensor([0]), torch.tensor([0]))
    with pytest.warns(
        UserWarning, match={"instance": "miou is undefined", "category": "miou_category is undefined"}[average]
    ):
        assert metric.compute().isnan()


def test_half_precision_and_reset():
    metric = PartIoU(PARTS)
    metric.update(torch.eye(10)[[0, 1]].bfloat16(), torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([0, 0]))
    assert metric.compute() == 1
    metric.reset()
    assert metric.shapes.sum() == 0


@pytest.mark.parametrize("label", [2, 10, -1])
def test_a_part_of_another_category_is_an_error(label):
    with pytest.raises(ConfigError, match=r"\[0, 1\], the parts of category 0"):
        PartIoU(PARTS).update(torch.zeros(2, 10), torch.tensor([0, label]), torch.tensor([0]), torch.tensor([0, 0]))


def test_a_part_after_the_last_one_is_an_error_where_the_last_one_is_allowed():
    with pytest.raises(ConfigError, match=r"got 10, expected one of \[7, 8, 9\], the parts of category 3"):
        PartIoU(PARTS).update(torch.zeros(1, 10), torch.tensor([10]), torch.tensor([3]), torch.tensor([0]))


def test_broken_logits_matter_only_where_they_compete():
    preds = torch.zeros(1, 10)
    preds[0, 5] = NAN
    PartIoU(PARTS).update(preds, torch.tensor([0]), torch.tensor([0]), torch.tensor([0]))
    with pytest.raises(NumericalError, match="metric miou:"):
        PartIoU(PARTS).update(preds, torch.tensor([3]), torch.tensor([2]), torch.tensor([0]))


@pytest.mark.parametrize(
    ("preds", "target", "category", "batch", "name"),
    [
        (torch.zeros(2, 9), [0, 0], [0], [0, 0], "preds"),
        (torch.zeros(2, 10), [0], [0], [0, 0], "target"),
        (torch.zeros(2, 10), [0, 0, 0], [0], [0, 0], "target"),
        (torch.zeros(2, 10), [0, 0], [0], [0], "batch"),
        (torch.zeros(2, 10), [0, 0], [0], [0, 1], "batch"),
        (torch.zeros(2, 10), [0, 0], [4], [0, 0], "category"),
        (torch.zeros(2, 10), [0.0, 0.0], [0], [0, 0], "target"),
    ],
)
def test_shapes_are_checked(preds, target, category, batch, name):
    with pytest.raises(ShapeError, match=name):
        PartIoU(PARTS).update(preds, torch.tensor(target), torch.tensor(category), torch.tensor(batch))


def test_the_error_names_the_shapes_that_have_a_category():
    with pytest.raises(ShapeError, match="got shapes 0 to 2, expected shapes 0 to 1, which have a category"):
        PartIoU(PARTS).update(torch.zeros(2, 10), torch.zeros(2).long(), torch.zeros(2).long(), torch.tensor([0, 2]))


def test_both_averages_are_metrics_by_name():
    found = {name: metrics.build(name, 10, parts=PARTS) for name in ("miou", "miou_category")}
    assert {name: (type(metric), metric.average) for name, metric in found.items()} == {
        "miou": (PartIoU, "instance"),
        "miou_category": (CategoryPartIoU, "category"),
    }


@pytest.mark.parametrize("parts", [[], [[]], [[0, 0]], [[0], []], [[-1]]])
def test_bad_parts(parts):
    with pytest.raises(ConfigError, match="parts"):
        PartIoU(parts)


def test_bad_options():
    with pytest.raises(ConfigError, match="num_targets"):
        PartIoU(PARTS, 9)
    with pytest.raises(ConfigError, match="average"):
        PartIoU(PARTS, average="class")
    assert PartIoU(PARTS, 12).allowed.shape == (4, 12)


def worker(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    preds, target, category, batch = case(1)
    mine = batch < 5 if rank == 0 else batch >= 5
    share = slice(0, 5) if rank == 0 else slice(5, 9)
    metric = PartIoU(PARTS, average="category")
    metric.update(preds[mine], target[mine], category[share], batch[mine] - share.start)
    torch.save([metric.compute(), metric.per_category()], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch has no gloo")
def test_two_processes_equal_one(tmp_path: Path) -> None:
    code = f"import runpy; runpy.run_path({__file__!r})['worker'](%d, {str(tmp_path)!r})"
    processes = [fresh_process.start(code % rank) for rank in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    _, category, per_category = plain(*(values.numpy() for values in case(1)))
    for rank in range(2):
        value, each = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert value.item() == pytest.approx(category, abs=1e-12)
        np.testing.assert_allclose(each.numpy(), per_category, atol=1e-12)


def test_names_and_directions():
    for kind, name in ((PartIoU, "miou"), (CategoryPartIoU, "miou_category")):
        assert (kind.name, kind.higher_is_better, kind.needs_parts) == (name, True, True)
        assert metrics.build(name, 10, parts=PARTS).name == name
    assert repr(PartIoU(PARTS)) == "PartIoU(4 categories, average='instance')"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"preds": torch.zeros(3, 9)}, r"^preds: got \[3, 9\], expected logits \[T, 10\]$"),
        ({"preds": torch.zeros(3)}, r"^preds: got \[3\], expected logits \[T, 10\]$"),
        ({"target": torch.zeros(3)}, r"^target: got \[3\] torch.float32, expected integers \[3\]$"),
        ({"batch": torch.tensor([0, 0])}, r"^batch: got \[2\] torch.int64, expected integers \[3\]$"),
        ({"batch": torch.tensor([0, 1, 2])}, "^batch: got shapes 0 to 2, expected shapes 0 to 1, which have"),
        ({"batch": torch.tensor([-1, 0, 1])}, "^batch: got shapes -1 to 1, expected shapes 0 to 1, which have"),
        ({"category": torch.tensor([0, 4])}, "^category: got categories 0 to 4, expected categories 0 to 3$"),
        ({"category": torch.tensor([-1, 3])}, "^category: got categories -1 to 3, expected categories 0 to 3$"),
    ],
)
def test_wrong_shapes_and_numbers_are_told_in_full(change, told):
    given = {"preds": torch.zeros(3, 10), "target": torch.tensor([0, 0, 7]), "batch": torch.tensor([0, 0, 1])}
    given |= {"category": torch.tensor([0, 3])}
    PartIoU(PARTS).update(**given)
    with pytest.raises(ShapeError, match=told):
        PartIoU(PARTS).update(**given | change)


def test_wrong_labels_and_logits_are_told_in_full():
    metric, one, none = PartIoU(PARTS), torch.tensor([3]), torch.tensor([0])
    expected = r"^target of miou: got 2, expected one of \[7, 8, 9\], the parts of category 3, or -100$"
    with pytest.raises(ConfigError, match=expected):
        metric.update(torch.zeros(1, 10), torch.tensor([2]), one, none)
    logits = torch.zeros(1, 10)
    logits[0, 7:9], logits[0, 0] = NAN, NAN  # the first part is of another category
    with pytest.raises(NumericalError, match=r"^metric miou: 2 logits are NaN or infinite$"):
        metric.update(logits, torch.tensor([7]), one, none)
