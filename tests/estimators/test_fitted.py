"""The description of a fitted network, computed with NumPy, gives what the estimator predicts."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.estimators import fitted_network
from fastmlp.reference import vectorized

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LINKS = {"identity": lambda z: z, "exp": np.exp, "logistic": lambda z: 1 / (1 + np.exp(-z))}


def outputs_of(network, X):
    """Return the outputs of the described network."""
    A = X
    for layer in network.layers[:-1]:
        Z = A @ layer.coef + layer.intercept
        f = vectorized.activate(layer.activation, Z, layer.pieces)
        A = f + A if layer.residual else f
    last = network.layers[-1]
    return LINKS[last.activation](A @ last.coef + last.intercept)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("kind", ["regression", "outputs", "poisson", "multilabel"])
def test_description_computes_the_prediction(problems, kind, batch_norm):
    problem = problems[kind]
    model = problem.ours(
        **problem.params,
        hidden_layer_sizes=(4, 4, 3),
        activation=["maxout", "tanh", "gelu"],
        residual=True,
        batch_norm=batch_norm,
        maxout_pieces=3,
        max_iter=3,
        random_state=0,
    )
    model.fit(problem.X, problem.y)
    network = fitted_network(model)
    assert network.target == ("multilabel" if kind == "multilabel" else "values")
    assert [layer.residual for layer in network.layers] == [False, True, False, False]
    expected = (model.predict_proba if kind == "multilabel" else model.predict)(problem.X)
    # Both round each of about 20 terms of 4 layers differently.
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        outputs_of(network, problem.X), expected.reshape(len(problem.X), -1), rtol=0, atol=1e-13 * scale
    )


def test_targets(problems):
    problem = problems["multiclass"]
    params = {"hidden_layer_sizes": 3, "max_iter": 1, "random_state": 0}
    assert fitted_network(MLPClassifier(**params).fit(problem.X, problem.y)).target == "multiclass"
    assert fitted_network(MLPClassifier(**params).fit(problem.X, problem.y > 4)).target == "binary"
    coder = fitted_network(MLPAutoencoder((5, 3), "maxout", max_iter=1, random_state=0).fit(problem.X))
    assert coder.target == "input"
    assert [layer.n_units for layer in coder.layers] == [5, 3, 5, 64]


def test_description_follows_the_fit_and_not_later_parameters(problems):
    problem = problems["binary"]
    model = MLPClassifier(3, "silu", max_iter=1, random_state=0).fit(problem.X.astype(np.float32), problem.y)
    model.set_params(activation="relu")
    network = fitted_network(model)
    assert [layer.activation for layer in network.layers] == ["silu", "logistic"]
    assert network.target == "binary"
    assert network.dtype == np.float32
    network.layers[0].coef[...] = 0
    assert model.coefs_[0].any()


@pytest.mark.parametrize("estimator", [MLPClassifier(), MLPRegressor(), MLPAutoencoder()])
def test_unfitted_estimator_has_no_description(estimator):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        fitted_network(clone(estimator))
