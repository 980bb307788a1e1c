"""Tables of the activations, outputs and optimizers.

Kernels select a function by the op code of its row, outside of their inner loops, so that the same compiled kernel
serves all rows. This module needs neither Numba nor LLVM, so that a fit with precompiled kernels imports neither.
"""

from typing import NamedTuple

__all__ = ["ACTIVATIONS", "OPTIMIZERS", "OUTPUTS", "STORE", "Activation", "Optimizer", "Output"]

IDENTITY, LOGISTIC, TANH, RELU, LEAKY_RELU, ELU, SELU, GELU, SILU, SOFTPLUS, MAXOUT = range(11)


class Activation(NamedTuple):
    """One row of the table.

    Attributes
    ----------
    code : int
        Op code.
    needs_z : bool
        Whether the derivative needs Z instead of A.
    by_sign : bool
        Whether the derivative depends only on the sign of A, so that A may be scaled.
    """

    code: int
    needs_z: bool = False
    by_sign: bool = False


ACTIVATIONS = {
    "identity": Activation(IDENTITY, by_sign=True),
    "logistic": Activation(LOGISTIC),
    "tanh": Activation(TANH),
    "relu": Activation(RELU, by_sign=True),
    "leaky_relu": Activation(LEAKY_RELU, by_sign=True),
    "elu": Activation(ELU),
    "selu": Activation(SELU),
    "gelu": Activation(GELU, needs_z=True),
    "silu": Activation(SILU, needs_z=True),
    "softplus": Activation(SOFTPLUS),
    "maxout": Activation(MAXOUT, needs_z=True),
}

(
    IDENTITY_SQUARED,
    LOGISTIC_LOG,
    SOFTMAX_LOG,
    EXP_POISSON,
    LOGISTIC_SQUARED,
    IDENTITY_ABSOLUTE,
    IDENTITY_HUBER,
    IDENTITY_QUANTILE,
    IDENTITY_CAUCHY,
    ORDERED_QUANTILE,
    EXP_GAMMA,
    EXP_TWEEDIE,
    LOGISTIC_FOCAL,
    SOFTMAX_FOCAL,
) = range(14)


class Output(NamedTuple):
    """One row of the table: the op code, the activation that users see, and the loss that goes with it.

    `parameter` is the estimators' name of the parameter of the loss, if it has one.
    """

    code: int
    link: str
    loss: str
    parameter: str = ""


OUTPUTS = {
    (row.link, row.loss): row
    for row in (
        Output(IDENTITY_SQUARED, "identity", "squared_error"),
        Output(LOGISTIC_LOG, "logistic", "log_loss"),
        Output(SOFTMAX_LOG, "softmax", "log_loss"),
        Output(EXP_POISSON, "exp", "poisson"),
        Output(LOGISTIC_SQUARED, "logistic", "squared_error"),
        Output(IDENTITY_ABSOLUTE, "identity", "absolute_error"),
        Output(IDENTITY_HUBER, "identity", "huber", "huber_delta"),
        Output(IDENTITY_QUANTILE, "identity", "quantile", "quantile"),
        Output(IDENTITY_CAUCHY, "identity", "cauchy"),
        Output(ORDERED_QUANTILE, "ordered", "quantile", "quantile"),
        Output(EXP_GAMMA, "exp", "gamma"),
        Output(EXP_TWEEDIE, "exp", "tweedie", "power"),
        Output(LOGISTIC_FOCAL, "logistic", "focal", "focal_gamma"),
        Output(SOFTMAX_FOCAL, "softmax", "focal", "focal_gamma"),
    )
}

STORE, SGD, NESTEROV, ADAM = range(4)


class Optimizer(NamedTuple):
    """One row of the table: the op code and the number of state vectors of the optimizer."""

    code: int
    states: int


# STORE, which leaves the gradient in memory instead of taking a step, is for L-BFGS and for the public gradient.
OPTIMIZERS = {
    "sgd": Optimizer(SGD, 1),
    "nesterov": Optimizer(NESTEROV, 1),
    "adam": Optimizer(ADAM, 2),
}
