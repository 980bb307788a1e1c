"""Pickle one estimator of each kind, for the tests of later versions: run once for each release.

``python tests/export/pickles/make.py`` writes ``<version>.pkl`` beside this file: for each name the fitted estimator,
the input of a prediction and its result. A file of a released version is never written again.
"""

import pickle
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, load_wine
from sklearn.preprocessing import scale

import fastmlp
from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor

FOLDER = Path(__file__).parent
ROWS = 20


def predicted(model, X):
    """What the estimator says about X."""
    if isinstance(model, MLPClassifier):
        return model.predict_proba(X)
    return model.predict(X) if isinstance(model, MLPRegressor) else model.transform(X)


def fitted_estimators():
    """Fit small estimators, which together use every part of the state."""
    X, y = load_wine(return_X_y=True)
    X = scale(X)
    names = np.array(["barolo", "grignolino", "barbera"])[y]
    indicators = np.column_stack([y == 0, y > 0, X[:, 0] > 0]).astype(int)
    measured, progression = load_diabetes(return_X_y=True)
    measured, targets = measured * 20, np.column_stack([progression, progression[::-1]]) / 100
    shared = {"hidden_layer_sizes": (5, 5), "max_iter": 10, "random_state": 0}
    wide = {"batch_norm": True, "residual": True}
    return {
        "binary": (MLPClassifier(**shared, solver="lbfgs").fit(X, y > 0), X),
        "strings": (MLPClassifier(**shared, **wide, activation=["gelu", "maxout"]).fit(X, names), X),
        "float32": (MLPClassifier(**shared, solver="sgd", early_stopping=True).fit(X.astype(np.float32), y), X),
        "one-vs-all": (MLPClassifier(**shared, out_activation="logistic").fit(X, y), X),
        "multilabel": (MLPClassifier(**shared, activation="silu").fit(X, indicators), X),
        "regression": (MLPRegressor(**shared, **wide).fit(measured, targets[:, 0]), measured),
        "outputs": (MLPRegressor(**shared, activation="tanh").fit(measured, targets), measured),
        "poisson": (MLPRegressor("poisson", **shared).fit(measured, targets[:, 0]), measured),
        "autoencoder": (MLPAutoencoder((5, 2), max_iter=10, random_state=0, tied_weights=True).fit(X), X),
    }


if __name__ == "__main__":
    stored = {name: (model, X[:ROWS], predicted(model, X[:ROWS])) for name, (model, X) in fitted_estimators().items()}
    (FOLDER / f"{fastmlp.__version__}.pkl").write_bytes(pickle.dumps(stored, protocol=5))
