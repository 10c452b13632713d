import pytest

SMILES = [f"{'C' * n}{end}" for n in range(1, 13) for end in ("O", "Cl")]
SMALL = {"channels": 16, "num_layers": 1, "heads": 2, "num_samples": 8, "batch_size": 8, "max_epochs": 1}
SMALL |= {"dropout": 0.0, "drop_path": 0.0, "learning_rate": 1e-2, "accelerator": "cpu"}


@pytest.fixture
def smiles():
    """Alcohols and chlorides in turn, of one to twelve carbon atoms."""
    return list(SMILES)


@pytest.fixture
def alcohol():
    """Whether each molecule is an alcohol."""
    return [int(text.endswith("O")) for text in SMILES]


@pytest.fixture
def length():
    """A number for each molecule that grows with its length."""
    return [5000.0 + 10 * text.count("C") for text in SMILES]


@pytest.fixture
def small():
    """Arguments of an estimator that is fitted in a moment."""
    return dict(SMALL)
