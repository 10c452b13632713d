import pickle

import pytest
import torch
import torch.nn.functional as F

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.training import losses

NAN = float("nan")
ENTRYWISE = {
    "bce": F.binary_cross_entropy_with_logits,
    "l1": F.l1_loss,
    "smooth_l1": F.smooth_l1_loss,
    "mse": F.mse_loss,
}
BY_CLASS = ("cross_entropy", "weighted_cross_entropy")


def entries(seed: int = 0, shape: tuple[int, ...] = (9, 4)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True), torch.randint(
        0, 2, shape, generator=generator
    ).double()


def gradient(loss: torch.Tensor, pred: torch.Tensor) -> torch.Tensor:
    (grad,) = torch.autograd.grad(loss, pred)
    return grad


@pytest.mark.parametrize("name", list(ENTRYWISE))
class TestEntrywise:
    def test_equals_torch_when_all_is_labelled(self, name: str) -> None:
        pred, target = entries()
        torch.testing.assert_close(losses.build(name)(pred, target), ENTRYWISE[name](pred, target), rtol=1e-14, atol=0)

    def test_mask_equals_the_mean_over_labelled_entries(self, name: str) -> None:
        pred, target = entries()
        labelled = torch.rand(9, 4) < 0.6
        loss = losses.build(name)(pred, target.where(labelled, NAN))
        expected = ENTRYWISE[name](pred[labelled], target[labelled])
        torch.testing.assert_close(loss, expected, rtol=1e-13, atol=0)
        torch.testing.assert_close(gradient(loss, pred), gradient(expected, pred), rtol=1e-13, atol=0)

    @pytest.mark.parametrize("shape", [(3, 2), (0, 2), (0,)])
    def test_nothing_labelled_is_a_connected_zero(self, name: str, shape: tuple[int, ...]) -> None:
        pred = torch.randn(shape, requires_grad=True)
        loss = losses.build(name)(pred, torch.full(shape, NAN))
        assert loss.item() == 0.0
        assert torch.equal(gradient(loss, pred), torch.zeros(shape))

    def test_a_nan_behind_the_mask_reaches_neither_loss_nor_gradient(self, name: str) -> None:
        pred = torch.tensor([[0.5, NAN]], requires_grad=True)
        loss = losses.build(name)(pred, torch.tensor([[1.0, NAN]]))
        assert loss.isfinite()
        assert gradient(loss, pred).isfinite().all()

    @pytest.mark.parametrize(("one", "other"), [((6, 1), (6,)), ((6,), (6, 1))])
    def test_column_and_vector_are_taken_for_each_other(
        self, name: str, one: tuple[int, ...], other: tuple[int, ...]
    ) -> None:
        pred, target = entries(shape=(6,))
        expected = ENTRYWISE[name](pred, target)
        torch.testing.assert_close(losses.build(name)(pred.view(one), target.view(other)), expected)

    @pytest.mark.parametrize(
        ("pred", "target"),
        [((6, 2), (6,)), ((6,), (6, 2)), ((6, 1), (1, 6)), ((6, 2), (1, 2)), ((6, 2), (12,)), ((1, 6), (6,))],
    )
    def test_nothing_is_broadcast(self, name: str, pred: tuple[int, ...], target: tuple[int, ...]) -> None:
        with pytest.raises(ShapeError, match="target"):
            losses.build(name)(torch.zeros(pred), torch.zeros(target))

    def test_half_precision_is_computed_in_float32(self, name: str) -> None:
        pred, target = (value.float() for value in entries())
        half = pred.bfloat16()
        loss = losses.build(name)(half, target.bfloat16())
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, ENTRYWISE[name](half.float(), target))

    def test_integer_labels(self, name: str) -> None:
        pred, target = entries()
        torch.testing.assert_close(losses.build(name)(pred, target.long()), ENTRYWISE[name](pred, target))


@pytest.mark.parametrize("pos_weight", [3.0, [1.0, 2.0, 0.5, 4.0]])
def test_pos_weight(pos_weight: float | list[float]) -> None:
    pred, target = entries()
    expected = F.binary_cross_entropy_with_logits(
        pred, target, pos_weight=torch.tensor(pos_weight, dtype=torch.float64)
    )
    torch.testing.assert_close(losses.build("bce", pos_weight=pos_weight)(pred, target), expected)


def test_pos_weight_of_the_wrong_length() -> None:
    with pytest.raises(ShapeError, match="pos_weight"):
        losses.build("bce", pos_weight=[1.0, 2.0])(*entries())


def test_bce_label_smoothing() -> None:
    pred, target = entries()
    loss = losses.build("bce", label_smoothing=0.2)(pred, target)
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(pred, target * 0.8 + 0.1))


@pytest.mark.parametrize("label", [-1.0, 1.5])
def test_bce_label_outside_the_unit_interval(label: float) -> None:
    with pytest.raises(ConfigError, match=f"got {label}"):
        losses.bce(torch.zeros(2), torch.tensor([1.0, label]))


def test_smooth_l1_beta() -> None:
    pred, target = entries()
    torch.testing.assert_close(
        losses.build("smooth_l1", beta=0.3)(pred, target), F.smooth_l1_loss(pred, target, beta=0.3)
    )


def rows(classes: int = 4, n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    pred = torch.randn(n, classes, generator=generator, dtype=torch.float64, requires_grad=True)
    return pred, torch.randint(0, classes - 1, (n,), generator=generator)  # the last class is absent


@pytest.mark.parametrize("name", BY_CLASS)
class TestByClass:
    def test_unlabelled_rows_do_not_count(self, name: str) -> None:
        pred, target = rows()
        target[[2, 5]] = -100
        keep = target != -100
        loss, expected = losses.build(name)(pred, target), losses.build(name)(pred[keep], target[keep])
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradient(loss, pred), gradient(expected, pred))
        as_float = target.double().where(keep, NAN)
        torch.testing.assert_close(losses.build(name)(pred, as_float.unsqueeze(-1)), expected)

    @pytest.mark.parametrize("n", [0, 3])
    def test_nothing_labelled_is_a_connected_zero(self, name: str, n: int) -> None:
        pred = torch.randn(n, 4, requires_grad=True)
        loss = losses.build(name)(pred, torch.full((n,), -100))
        assert loss.item() == 0.0
        assert torch.equal(gradient(loss, pred), torch.zeros(n, 4))

    @pytest.mark.parametrize(
        ("pred", "target"), [((6, 3), (5,)), ((6, 3), (6, 3)), ((6, 3), (1, 6)), ((2, 3, 4), (2, 4))]
    )
    def test_shapes_are_checked(self, name: str, pred: tuple[int, ...], target: tuple[int, ...]) -> None:
        with pytest.raises(ShapeError):
            losses.build(name)(torch.zeros(pred), torch.zeros(target, dtype=torch.long))

    @pytest.mark.parametrize("label", [4, -1, 0.5])
    def test_a_label_that_is_no_class(self, name: str, label: float) -> None:
        with pytest.raises(ConfigError, match="class numbers 0 to 3"):
            losses.build(name)(torch.zeros(2, 4), torch.tensor([0, label]))

    def test_half_precision_is_computed_in_float32(self, name: str) -> None:
        pred, target = rows()
        half = pred.detach().bfloat16()
        assert losses.build(name)(half, target).dtype == torch.float32
        torch.testing.assert_close(losses.build(name)(half, target), losses.build(name)(half.float(), target))

    def test_a_nan_row_without_label_leaves_the_gradient_finite(self, name: str) -> None:
        pred = torch.tensor([[0.1, 0.2], [0.3, 0.1], [NAN, 0.0]], requires_grad=True)
        loss = losses.build(name)(pred, torch.tensor([0, 1, -100]))
        assert loss.isfinite()
        assert gradient(loss, pred).isfinite().all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0, 4.0]])
def test_cross_entropy_equals_torch(smoothing: float, weight: list[float] | None) -> None:
    pred, target = rows()
    loss = losses.build("cross_entropy", class_weight=weight, label_smoothing=smoothing)(pred, target)
    tensor = None if weight is None else torch.tensor(weight, dtype=torch.float64)
    torch.testing.assert_close(loss, F.cross_entropy(pred, target, weight=tensor, label_smoothing=smoothing))


def test_cross_entropy_of_one_logit_names_bce() -> None:
    with pytest.raises(ShapeError, match="C at least 2") as caught:
        losses.cross_entropy(torch.zeros(3, 1), torch.zeros(3, dtype=torch.long))
    assert "bce" in caught.value.hint


def test_weighted_cross_entropy_is_its_formula() -> None:
    pred, target = rows()
    weight = torch.stack(
        [(target.numel() - (target == c).sum()) / target.numel() * bool((target == c).any()) for c in range(4)]
    )
    row = -pred.log_softmax(-1)[torch.arange(12), target]
    expected = (weight[target] * row).sum() / weight[target].sum()
    loss = losses.weighted_cross_entropy(pred, target)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    assert weight[3] == 0
    # Rare classes weigh more than in the plain loss.
    assert abs(loss - losses.cross_entropy(pred, target)) > 1e-3


def test_weighted_cross_entropy_of_a_batch_with_one_class_is_a_connected_zero() -> None:
    pred = torch.randn(5, 3, requires_grad=True)
    loss = losses.weighted_cross_entropy(pred, torch.full((5,), 2))
    assert loss.item() == 0.0
    assert torch.equal(gradient(loss, pred), torch.zeros(5, 3))


@pytest.mark.parametrize("shape", [(8,), (8, 1)])
def test_weighted_cross_entropy_with_one_logit_is_weighted_bce(shape: tuple[int, ...]) -> None:
    pred, target = torch.randn(shape, dtype=torch.float64), torch.tensor([0, 0, 0, 1, 0, 1, 0, 0])
    weight = torch.tensor([2 / 8, 6 / 8], dtype=torch.float64)[target]
    expected = F.binary_cross_entropy_with_logits(pred.view(-1), target.double(), weight=weight)
    torch.testing.assert_close(losses.weighted_cross_entropy(pred, target), expected)


@pytest.mark.parametrize("name", losses.available())
def test_built_losses_pickle_and_work_under_autocast(name: str) -> None:
    loss = pickle.loads(pickle.dumps(losses.build(name)))
    model = torch.nn.Linear(3, 4)
    target = torch.tensor([0, 1, 3]) if name in BY_CLASS else torch.tensor([[0.0, 1.0, NAN, 1.0]] * 3)
    target = torch.tensor([[0, 1], [1, 0], [1, 1]]) if name == "word_cross_entropy" else target
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(model(torch.randn(3, 3)), target)
    value.backward()
    assert value.dtype == torch.float32
    assert model.weight.grad.isfinite().all()


def test_word_cross_entropy_is_the_mean_of_the_positions() -> None:
    pred, target = torch.randn(7, 5, 11, dtype=torch.float64), torch.randint(11, (7, 5))
    expected = sum(F.cross_entropy(pred[:, place], target[:, place]) for place in range(5)) / 5
    torch.testing.assert_close(losses.word_cross_entropy(pred.flatten(1), target), expected)
    for wrong in (target[:, 0], target[:3], target[:, :4]):
        with pytest.raises(ShapeError, match="target"):
            losses.word_cross_entropy(pred.flatten(1), wrong)
    with pytest.raises(ConfigError):
        losses.word_cross_entropy(pred.flatten(1), target.clone().fill_(11))


def test_predictions_must_be_floating() -> None:
    with pytest.raises(ShapeError, match="floating-point"):
        losses.l1(torch.zeros(2, dtype=torch.long), torch.zeros(2))


@pytest.mark.parametrize(
    ("name", "settings", "key"),
    [
        ("focal", {}, "loss"),
        ("bce", {"pos_wieght": 1.0}, "loss bce"),
        ("l1", {"beta": 1.0}, "loss l1"),
        ("smooth_l1", {"beta": 0.0}, "beta"),
        ("bce", {"label_smoothing": 1.0}, "label_smoothing"),
        ("bce", {"pos_weight": -1.0}, "pos_weight"),
        ("bce", {"pos_weight": [1.0, NAN]}, "pos_weight"),
        ("cross_entropy", {"class_weight": 2.0}, "class_weight"),
        ("cross_entropy", {"class_weight": "auto"}, "class_weight"),
    ],
)
def test_bad_settings(name: str, settings: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        losses.build(name, **settings)
    assert caught.value.key == key


def test_options() -> None:
    assert {name: losses.options(name) for name in losses.available()} == {
        "bce": ["pos_weight", "label_smoothing"],
        "cross_entropy": ["class_weight", "label_smoothing"],
        "weighted_cross_entropy": ["label_smoothing"],
        "word_cross_entropy": [],
        "smooth_l1": ["beta"],
        "l1": [],
        "mse": [],
    }


def test_predictions_on_the_right_side_of_a_bound_are_exact() -> None:
    pred = torch.tensor([[12.0, 8.0], [8.0, 12.0], [9.0, 5.0]], requires_grad=True)
    target = torch.tensor([[10.0, 10.0], [10.0, 10.0], [10.0, float("nan")]], dtype=torch.float64)
    bound = torch.tensor([[1, 1], [-1, -1], [0, 1]], dtype=torch.int8)
    clipped = losses.clip_to_bounds(pred, target, bound)
    assert clipped.tolist() == [[10.0, 8.0], [10.0, 12.0], [9.0, 5.0]]
    literal = [
        max(10.0 - 12.0, 0) ** 2,
        max(10.0 - 8.0, 0) ** 2,
        max(8.0 - 10.0, 0) ** 2,
        max(12.0 - 10.0, 0) ** 2,
        1.0,
    ]
    loss = losses.mse(clipped, target)
    assert loss.item() == pytest.approx(sum(literal) / 5)
    loss.backward()
    assert pred.grad is not None
    assert torch.allclose(pred.grad, torch.tensor([[0.0, -0.8], [0.0, 0.8], [-0.4, 0.0]]))
    with pytest.raises(ShapeError, match="bound"):
        losses.clip_to_bounds(pred, target, bound[:2])
