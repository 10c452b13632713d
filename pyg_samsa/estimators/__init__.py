"""scikit-learn estimators: networks on molecules that can be cloned, cross-validated and searched over."""

from pyg_samsa.estimators.samsa_classifier import SAMSAClassifier
from pyg_samsa.estimators.samsa_regressor import SAMSARegressor

__all__ = ["SAMSAClassifier", "SAMSARegressor"]
