"""The displays show the numbers of their source; matplotlib is imported only when one is drawn."""

import subprocess
import sys
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from fastmlp import (
    DiagnosticsDisplay,
    LossCurveDisplay,
    MLPAutoencoder,
    MLPClassifier,
    WeightImageDisplay,
    diagnose,
)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture(scope="module")
def fitted(digits):
    """One estimator with early stopping, one without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {
            "stopped early": MLPClassifier((20,), early_stopping=True, max_iter=6, random_state=0).fit(*digits),
            "plain": MLPClassifier((12, 5), max_iter=4, random_state=0).fit(*digits),
        }


@pytest.fixture(autouse=True)
def close_figures():
    """Close all figures."""
    yield
    plt.close("all")


def test_matplotlib_is_not_imported_with_fastmlp():
    code = "import sys, fastmlp; assert not [name for name in sys.modules if name.startswith('matplotlib')]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_matplotlib_is_reported_with_the_command_to_install_it(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "fastmlp\[app\]"'):
        LossCurveDisplay.from_estimator(fitted["plain"])


# ---- Loss curves ----


def test_loss_curves_of_several_estimators(fitted):
    display = LossCurveDisplay.from_estimator(fitted)
    train, plain, score = display.lines_
    assert_array_equal(train.get_ydata(), fitted["stopped early"].loss_curve_)
    assert_array_equal(plain.get_ydata(), fitted["plain"].loss_curve_)
    assert_array_equal(score.get_ydata(), fitted["stopped early"].validation_scores_)
    assert_array_equal(score.get_xdata(), np.arange(1, 7))
    assert score.axes is display.score_ax_
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["stopped early: training loss", "plain: training loss", "stopped early: validation score"]
    display.figure_.canvas.draw()


def test_loss_curve_on_given_axes(fitted):
    figure, ax = plt.subplots()
    display = LossCurveDisplay.from_estimator(fitted["plain"], ax=ax, name="mine")
    assert (display.figure_, display.ax_, display.score_ax_) == (figure, ax, None)
    assert display.lines_[0].get_label() == "mine: training loss"
    again = display.plot(ax)
    assert again is display
    assert len(ax.lines) == 2


def test_loss_curve_requires_a_stochastic_solver(digits):
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(MLPClassifier())
    model = MLPClassifier((5,), solver="lbfgs", tol=1.0, random_state=0).fit(*digits)
    with pytest.raises(ValueError, match="'MLPClassifier' has no loss curve: solver must be 'sgd' or 'adam'"):
        LossCurveDisplay.from_estimator(model)


# ---- Weights ----


def test_weight_images_are_columns_ordered_by_norm(fitted):
    W = fitted["stopped early"].coefs_[0]
    display = WeightImageDisplay.from_estimator(fitted["stopped early"])
    mosaic = np.ma.getdata(display.im_.get_array())
    order = np.argsort(-np.linalg.norm(W, axis=0))
    assert_array_equal(mosaic[:8, :8], W[:, order[0]].reshape(8, 8))
    assert_array_equal(mosaic[:8, 9:17], W[:, order[1]].reshape(8, 8))
    assert_array_equal(mosaic[9:17, :8], W[:, order[5]].reshape(8, 8))
    assert np.isnan(mosaic[8]).all()
    assert display.im_.get_clim() == (-np.abs(W).max(), np.abs(W).max())
    display.figure_.canvas.draw()


def test_weight_images_of_other_layers_and_shapes(fitted, digits):
    display = WeightImageDisplay.from_estimator(fitted["plain"], layer=1, image_shape=(3, 4), max_units=2)
    assert display.weights.shape == (12, 2)
    assert display.image_shape == (3, 4)
    coder = MLPAutoencoder(4, solver="lbfgs", tol=1.0).fit(digits[0])
    display = WeightImageDisplay.from_estimator(coder, layer=-1)
    assert display.weights.shape == (64, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (7, 9)}, r"image_shape must have 64 pixels, one for each input, got \(7, 9\)"),
        ({"layer": 3}, "layer must be a place in the 3 arrays of coefs_, got 3"),
    ],
)
def test_invalid_arguments_of_weight_images_are_refused(fitted, options, message):
    with pytest.raises(ValueError, match=message):
        WeightImageDisplay.from_estimator(fitted["plain"], **options)


# ---- Diagnostics ----


def test_diagnostics_display(fitted, digits):
    diagnosis = diagnose(fitted["plain"], *digits)
    for display in (diagnosis.plot(), DiagnosticsDisplay.from_estimator(fitted["plain"], *digits)):
        flow, values, stuck = display.ax_
        assert_array_equal(flow.lines[0].get_ydata(), [layer.gradient_norm for layer in diagnosis.layers])
        assert_array_equal(flow.lines[1].get_ydata(), [layer.error for layer in diagnosis.layers])
        assert [bar.get_height() for bar in stuck.patches] == [*(layer.stuck for layer in diagnosis.layers[:2]), 0]
        assert [tick.get_text() for tick in values.get_xticklabels()] == ["hidden 1", "hidden 2", "output"]
        assert display.figure_.get_suptitle() == "Diagnosis: nothing unusual"
        display.figure_.canvas.draw()


def test_diagnostics_display_on_given_axes(fitted, digits):
    figure, axes = plt.subplots(1, 3)
    display = diagnose(fitted["plain"], *digits).plot(axes)
    assert display.figure_ is figure
    with pytest.raises(ValueError, match="ax must hold 3 axes, got 1"):
        display.plot(axes[0])
