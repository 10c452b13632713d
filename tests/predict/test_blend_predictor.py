import numpy as np
import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.predict import BlendPredictor, Predictor
from pyg_samsa.task import Task

TASK = Task("regression", ["a", "b"])


class Constant(Predictor):
    """Predicts the same values for every molecule, and counts its calls."""

    def __init__(self, values, *extra_columns, task=TASK):
        self.values, self.extra_columns, self.task, self.calls = values, extra_columns, task, 0

    def outputs(self, inputs, *, draws=None):
        self.calls += 1
        inputs.extra(self.extra_columns)
        values = np.tile(np.array(self.values, float), (len(inputs.smiles), 1))
        return values, None if draws is None else np.full_like(values, draws)


def test_values_and_spread_are_weighted():
    blend = BlendPredictor([Constant([0, 0]), Constant([4, 8])], [0.75, 0.25])
    result = blend.predict(["C", "C1CC"], uncertainty=True)
    assert result.values[0].tolist() == [1, 2]
    np.testing.assert_allclose(result.spread[0], np.sqrt([0.75 * 1 + 0.25 * 9, 0.75 * 4 + 0.25 * 36]))
    assert np.isnan(result.values[1]).all()
    assert np.isnan(result.spread[1]).all()


def test_each_target_may_have_its_weights():
    blend = BlendPredictor([Constant([0, 0]), Constant([4, 8])], [[1, 0.5], [0, 0.5]])
    assert blend.predict(["C"]).values.tolist() == [[0, 4]]


def test_members_without_weight_are_not_computed():
    unused, used = Constant([9, 9]), Constant([1, 2])
    blend = BlendPredictor([unused, used], [0, 1])
    result = blend.predict(["C"], uncertainty=True, draws=3)
    assert (unused.calls, used.calls) == (0, 1)
    assert result.values.tolist() == [[1, 2]]
    assert result.spread.tolist() == [[3, 3]]


def test_extra_columns_are_those_of_all_members():
    blend = BlendPredictor([Constant([0, 0], "pH"), Constant([2, 2], "T", "pH")], [0.5, 0.5])
    assert blend.extra_columns == ("pH", "T")
    with pytest.raises(ConfigError, match="'T'"):
        blend.predict(["C"], extra_columns={"pH": [7]})
    assert blend.predict(["C"], extra_columns={"pH": [7], "T": [300]}).values.tolist() == [[1, 1]]


@pytest.mark.parametrize("weights", [[0.5, 0.6], [-0.5, 1.5], [1.0], [[1.0], [0.0]], [np.nan, 1.0]])
def test_weights_must_be_convex(weights):
    with pytest.raises(ConfigError, match="weights"):
        BlendPredictor([Constant([0, 0]), Constant([1, 1])], weights)


def test_wrong_members_are_named():
    with pytest.raises(ConfigError, match="at least one predictor"):
        BlendPredictor([], [])
    with pytest.raises(ConfigError, match=r"got .*\('a',\).*, expected predictors of one task, .*\('a', 'b'\)"):
        BlendPredictor([Constant([0, 0]), Constant([0], task=Task("regression", ["a"]))], [0.5, 0.5])
    with pytest.raises(ConfigError, match="names"):
        BlendPredictor([Constant([0, 0])], [1], names=["x", "y"])


def test_it_shows_its_members():
    blend = BlendPredictor([Constant([0, 0]), Constant([1, 1])], [0.25, 0.75], names=["network", "trees"])
    assert repr(blend) == "BlendPredictor(regression: a, b; network 0.25, trees 0.75)"


def test_spreads_of_targets_are_the_smallest_of_the_members():
    class Known(Constant):
        def __init__(self, *std):
            super().__init__([0, 0])
            self._std = np.array(std)

        @property
        def target_std(self):
            return self._std

    blend = BlendPredictor([Known(1.0, 5.0), Constant([0, 0]), Known(2.0, 3.0)], [0.5, 0.25, 0.25])
    assert blend.target_std.tolist() == [1.0, 3.0]
    assert BlendPredictor([Constant([0, 0])], [1]).target_std is None


def test_names_of_members():
    two = [Constant([0, 0]), Constant([1, 1])]
    assert BlendPredictor(two, [0.5, 0.5]).names == ["member 0", "member 1"]
    assert BlendPredictor(two, [0.5, 0.5], names=["a", "b"]).names == ["a", "b"]
    with pytest.raises(ConfigError, match="expected 2 names, one per member"):
        BlendPredictor(two, [0.5, 0.5], names=["a"])
