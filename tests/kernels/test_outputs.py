"""Outputs: link and loss match the reference, clipped losses, NaN, reproducible bits."""

import numpy as np
import pytest
from fastmlp.kernels._link import entry
from fastmlp.kernels.tables import OUTPUTS
from sklearn.metrics import log_loss

from fastmlp._problem import smooth_labels
from fastmlp.reference import vectorized

DTYPES = [np.float32, np.float64]
# Relative error of a probability or exponential, in units in the last place. exp(z) has the absolute error of z, half a
# unit of numbers below 32 after the largest is subtracted: 16. A sum of 17 numbers rounds 16 times by half a unit: 8.
# The functions are off by 4 and a division by 1. NumPy's side, in the worst case, makes the same errors once more.
LAST_PLACES = 2 * (16 + 8 + 4 + 1)
SIZES = [0, 1, 15, 16, 17, 31, 33, 64]
UNITS = {
    "softmax": [2, 3, 10, 17],
    "logistic": [1, 2, 7],
    "identity": [1, 5],
    "exp": [1, 5],
    "ordered": [1, 2, 5],
}
# One number for each unit, exact in float32.
PARAMETERS = {
    "huber_delta": [1.5, 0.125, 3.0, 8.0, 0.5],
    "quantile": [0.125, 0.25, 0.5, 0.75, 0.875],
    "power": [1.5, 1.0, 1.25, 1.75, 1.9375],
    "focal_gamma": [2.0] * 17,
}
CASES = [(link, loss, K) for link, loss in OUTPUTS for K in UNITS[link]]


def run_link(output, z):
    """Outputs (n, K) of the pre-activations z (n, K), by the kernel that predictions call."""
    n, K = z.shape
    unit_major, work = z.T.copy(), np.full(n, np.nan, z.dtype)
    run = entry("link", z.dtype.name, OUTPUTS[output].code)
    run(unit_major.ctypes.data, work.ctypes.data, K, n)
    return unit_major.T


def parameters_of(output, K):
    """The parameter of the loss of each unit; empty if the loss has none."""
    return np.array(PARAMETERS.get(OUTPUTS[output].parameter, [])[:K])


def pair_of(output, K):
    """The pair of link and loss of the reference, with the parameter of the loss."""
    parameters = parameters_of(output, K)
    pair = vectorized.OUTPUTS[output].pair
    return (lambda z, y: pair(z, y, parameters)) if parameters.size else pair


def run_error(output, z, y, cap=np.inf, smoothing=0.0, parameters=None):
    """Loss (n,) and D (n, K), by the kernel that the training loop calls."""
    n, K = z.shape
    d, y = z.T.copy(), y.T.astype(z.dtype, order="C")
    loss, work = np.full(n, np.nan), np.full(2 * n, np.nan, z.dtype)
    parameters = (parameters_of(output, K) if parameters is None else np.array(parameters)).astype(z.dtype)
    run = entry("output_error", z.dtype.name, OUTPUTS[output].code)
    arrays = (array.ctypes.data for array in (d, y, loss, work))
    run(*arrays, K, n, cap, smoothing, parameters.ctypes.data)
    return loss, d.T


def draw(rng, output, n, K, dtype):
    """Pre-activations and targets that go with the output."""
    z = rng.normal(scale=3, size=(n, K)).astype(dtype)
    if output[0] == "softmax":
        return z, np.eye(K)[rng.integers(0, K, n)]
    if output[0] == "logistic":
        return z, rng.integers(0, 2, (n, K)).astype(float)
    if output == ("exp", "gamma"):
        return z, rng.gamma(1.5, size=(n, K)).astype(dtype).astype(float)
    if output[0] == "exp":
        return z, rng.poisson(1.5, (n, K)).astype(float)
    return z, rng.normal(size=(n, K)).astype(dtype).astype(float)


def test_table_matches_reference():
    assert set(OUTPUTS) == set(vectorized.OUTPUTS)
    assert all((row.link, row.loss) == key for key, row in OUTPUTS.items())
    assert sorted(row.code for row in OUTPUTS.values()) == list(range(len(OUTPUTS)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("link", "loss", "K"), CASES)
def test_values_match_reference(link, loss, K, dtype, rng):
    output, tolerance = (link, loss), LAST_PLACES * np.finfo(dtype).eps
    reference = vectorized.OUTPUTS[output]
    for n in SIZES:
        z, y = draw(rng, output, n, K, dtype)
        wide = z.astype(np.float64)
        expected_loss, expected_d = pair_of(output, K)(wide, y)
        losses, d = run_error(output, z, y)
        # Sums of the link "ordered" may cancel.
        cancelling = 4 * tolerance if link == "ordered" else 0
        np.testing.assert_allclose(run_link(output, z), reference.link(wide), rtol=tolerance, atol=cancelling)
        # A loss adds up to three terms below 32, an error subtracts a target below 16.
        np.testing.assert_allclose(losses, expected_loss, rtol=4 * tolerance, atol=4 * tolerance)
        np.testing.assert_allclose(d, expected_d, rtol=4 * tolerance, atol=8 * tolerance)


@pytest.mark.parametrize(("link", "loss", "K"), CASES)
def test_errors_match_central_differences(link, loss, K, rng):
    z, y = draw(rng, (link, loss), 20, K, np.float64)
    _, d = run_error((link, loss), z, y)
    step = 1e-5
    for k in range(K):
        up, down = z.copy(), z.copy()
        up[:, k] += step
        down[:, k] -= step
        slopes = (run_error((link, loss), up, y)[0] - run_error((link, loss), down, y)[0]) / (2 * step)
        np.testing.assert_allclose(d[:, k], slopes, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("link", "K"), [("softmax", 3), ("logistic", 1), ("logistic", 4)])
def test_log_losses_are_clipped_like_scikit_learn(link, K, dtype):
    """A unit that is wrong and sure costs -log(eps) and no more, however sure it is; nothing overflows."""
    cap = float(-np.log(np.finfo(dtype).eps))
    for size in (50, 1000, 1e30):
        z = np.zeros((2, K), dtype)
        z[:, 0] = size, -size
        y = np.zeros((2, K))
        y[0, -1], y[1, 0] = (0, 1) if K == 1 else (1, 1)
        losses, d = run_error((link, "log_loss"), z, y, cap)
        h = run_link((link, "log_loss"), z)
        assert np.isfinite(d).all()
        eps = np.finfo(dtype).eps
        clipped = np.clip(h.astype(np.float64), eps, 1 - eps)
        if link == "softmax":
            expected = -(y * np.log(clipped)).sum(axis=1)
        else:
            expected = -(y * np.log(clipped) + (1 - y) * np.log1p(-clipped)).sum(axis=1)
        np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_clipped_loss_matches_scikit_learn(rng):
    z, y = draw(rng, ("softmax", "log_loss"), 50, 4, np.float64)
    z *= 30
    cap = float(-np.log(np.finfo(np.float64).eps))
    losses, _ = run_error(("softmax", "log_loss"), z, y, cap)
    probabilities = run_link(("softmax", "log_loss"), z)
    assert losses.mean() == pytest.approx(log_loss(y.argmax(axis=1), probabilities, labels=range(4)), rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("link", "loss", "K"), CASES)
def test_nan_propagates_to_loss_and_output(link, loss, K, dtype, rng):
    """Training notices that it diverged by the loss alone."""
    z, y = draw(rng, (link, loss), 20, K, dtype)
    for k in range(K):
        bad = z.copy()
        bad[7, k] = np.nan
        expected = np.arange(20) == 7
        np.testing.assert_array_equal(np.isnan(run_error((link, loss), bad, y, 30.0)[0]), expected)
        np.testing.assert_array_equal(np.isnan(run_link((link, loss), bad)).any(axis=1), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("link", "loss", "K"), CASES)
def test_bits_do_not_depend_on_position(link, loss, K, dtype, rng):
    """Teams of other sizes cut the samples elsewhere."""
    output = link, loss
    z, y = draw(rng, output, 70, K, dtype)
    losses, d = run_error(output, z, y, 30.0)
    h = run_link(output, z)
    for part in (slice(0, 1), slice(1, 70), slice(16, 33), slice(64, 70), slice(69, 70)):
        part_losses, part_d = run_error(output, z[part], y[part], 30.0)
        np.testing.assert_array_equal(part_losses, losses[part])
        np.testing.assert_array_equal(part_d, d[part])
        np.testing.assert_array_equal(run_link(output, z[part]), h[part])


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_identities(dtype, rng):
    """One number added to all units changes nothing; two units are one logistic unit on their difference."""
    softmax, eps = ("softmax", "log_loss"), np.finfo(dtype).eps
    z = rng.normal(scale=3, size=(40, 2)).astype(dtype)
    h = run_link(softmax, z)
    np.testing.assert_allclose(run_link(softmax, z + dtype(64)), h, rtol=256 * eps)
    logistic = run_link(("logistic", "log_loss"), z[:, 1:] - z[:, :1])
    np.testing.assert_allclose(h[:, 1:], logistic, rtol=16 * eps)
    np.testing.assert_allclose(h.sum(axis=1), 1, rtol=4 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("power", "loss"), [(1.0, "poisson"), (2.0, "gamma")])
def test_tweedie_has_the_poisson_and_the_gamma_deviance_as_limits(power, loss, dtype, rng):
    z, y = draw(rng, ("exp", loss), 50, 3, dtype)
    z /= 3
    tolerance = 8 * LAST_PLACES * np.finfo(dtype).eps
    expected_loss, expected_d = run_error(("exp", loss), z, y)
    for near in (power, power + 1e-7, power + 1e-12):  # in float32, all of these are `power`
        losses, d = run_error(("exp", "tweedie"), z, y, parameters=[near] * 3)
        np.testing.assert_allclose(losses, expected_loss, rtol=tolerance + 1e-5 * (near != power), atol=tolerance)
        np.testing.assert_allclose(d, expected_d, rtol=tolerance + 1e-5 * (near != power), atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ordered_outputs_never_decrease(dtype, rng):
    z = rng.normal(scale=100, size=(500, 6)).astype(dtype)
    assert (np.diff(run_link(("ordered", "quantile"), z), axis=1) >= 0).all()


CLASSES = [(link, loss, K) for link, loss, K in CASES if link in ("softmax", "logistic")]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("link", "loss", "K"), CLASSES)
def test_label_smoothing_matches_reference(link, loss, K, dtype, rng):
    tolerance = 8 * LAST_PLACES * np.finfo(dtype).eps
    z, y = draw(rng, (link, loss), 40, K, dtype)
    losses, d = run_error((link, loss), z, y, smoothing=0.25)
    smoothed = 0.75 * y + 0.25 / (K if link == "softmax" else 2)
    np.testing.assert_array_equal(smooth_labels(y, 0.25, link), smoothed)
    expected_loss, expected_d = pair_of((link, loss), K)(z.astype(np.float64), smoothed)
    np.testing.assert_allclose(losses, expected_loss, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(d, expected_d, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("link", "K"), [("softmax", 2), ("softmax", 5), ("logistic", 3)])
@pytest.mark.parametrize("gamma", [0.0, 0.25, 1.0, 2.0, 5.0])
def test_focal_loss(link, K, gamma, dtype, rng):
    """It is (1 - p)^gamma times the log loss of each target; nothing overflows however sure the network is."""
    tolerance = 8 * LAST_PLACES * np.finfo(dtype).eps
    z, y = draw(rng, (link, "focal"), 60, K, dtype)
    losses, d = run_error((link, "focal"), z, y, parameters=[gamma] * K)
    log_losses, log_d = run_error((link, "log_loss"), z, y)
    if gamma == 0:
        np.testing.assert_allclose(losses, log_losses, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(d, log_d, rtol=tolerance, atol=tolerance)
    h = vectorized.OUTPUTS[link, "log_loss"].link(z.astype(np.float64))
    p = np.where(y == 1, h, 1 - h)
    terms = -((1 - p) ** gamma) * np.log(p)
    expected = (terms * y).sum(axis=1) if link == "softmax" else terms.sum(axis=1)
    np.testing.assert_allclose(losses, expected, rtol=tolerance, atol=tolerance)
    for size in (50, 1000, 1e30):
        z = np.zeros((2, K), dtype)
        z[:, 0] = size, -size
        y = np.zeros((2, K))
        y[0, -1], y[1, 0] = 1, 1
        losses, d = run_error((link, "focal"), z, y, parameters=[gamma] * K)
        assert np.isfinite(d).all()
        assert np.isfinite(losses).all()
        assert (losses > 0.9 * size).all()
        if link == "softmax":
            right, d = run_error((link, "focal"), z[:1], np.eye(K)[:1], parameters=[gamma] * K)
            np.testing.assert_allclose(right, 0, atol=1e-20)
            np.testing.assert_allclose(d, 0, atol=1e-20)
