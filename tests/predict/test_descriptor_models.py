from pyg_samsa.predict import BoostingOptions, GaussianProcessOptions, descriptor_models
from pyg_samsa.predict.predictor_options import PredictorOptions
from pyg_samsa.task import Task

TASK = Task("regression", ["y"])


def models(**options):
    chosen = PredictorOptions(tree_inputs=["maccs", "maccs+rdkit2d"], gp_inputs=["rdkit2d"])
    return descriptor_models(TASK, chosen, BoostingOptions(trees=7), GaussianProcessOptions(max_rows=9), **options)


def test_there_is_a_model_for_each_input():
    found = models(extra_columns=["pH"])
    assert list(found) == ["trees maccs", "trees maccs+rdkit2d", "Gaussian process rdkit2d"]
    assert found["trees maccs+rdkit2d"].descriptors == ("maccs", "rdkit2d")
    assert {model.extra_columns for model in found.values()} == {("pH",)}
    assert found["trees maccs"].options.trees == 7
    assert found["Gaussian process rdkit2d"].options.max_rows == 9


def test_only_the_kinds_that_are_asked_for():
    assert list(models(kinds=["gp"])) == ["Gaussian process rdkit2d"]
    assert list(models(kinds=["network", "trees"])) == ["trees maccs", "trees maccs+rdkit2d"]
    assert models(kinds=["network"]) == {}
