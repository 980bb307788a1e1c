"""The parameters that both tabular estimators share, one declaration each."""

from numbers import Integral, Real
from typing import Any

import numpy as np

from fastmlp.estimators._parameters import parameter, with_parameters
from fastmlp.estimators._sklearn import Interval, StrOptions
from fastmlp.kernels.tables import ACTIVATIONS

__all__ = ["TabularParameters"]


@with_parameters
class TabularParameters:
    """Parameters of `TabularMLPClassifier` and `TabularMLPRegressor`."""

    n_estimators: int = parameter(
        default=8,
        allowed=[Interval(Integral, 1, None, closed="left")],
        doc="""int
        Number of networks. Network k holds out fold k modulo `n_folds` to find its best epoch, while it trains on the
        other folds, and then trains further on all rows. The rows are divided anew after every `n_folds` networks.""",
        kw_only=False,
    )
    n_folds: int = parameter(
        default=4,
        allowed=[Interval(Integral, 2, None, closed="left")],
        doc="""int
        Number of folds. With ``n_estimators >= n_folds`` every row is held out by at least one network and used for
        training by the others.""",
    )
    hidden_layer_sizes: Any = parameter(
        default=(256, 256),
        allowed=["array-like", Interval(Integral, 1, None, closed="left")],
        doc="""int or array-like of shape (n_hidden_layers,)
        Number of units of each hidden layer.""",
    )
    activation: str = parameter(
        default="relu",
        allowed=[StrOptions(set(ACTIVATIONS))],
        doc="""str
        Activation of the hidden layers, see `fastmlp.MLPClassifier`.""",
    )
    dropout: float = parameter(
        default=0.1,
        allowed=[Interval(Real, 0, 1, closed="left")],
        doc="""float
        Fraction of hidden units that are set to zero at random in training, see `fastmlp.MLPClassifier`.""",
    )
    learning_rate_init: float = parameter(
        default=0.002,
        allowed=[Interval(Real, 0, None, closed="neither")],
        doc="""float
        Step size of Adam.""",
    )
    alpha: float = parameter(
        default=0.0001,
        allowed=[Interval(Real, 0, None, closed="left")],
        doc="""float
        Strength of the L2 penalty.""",
    )
    batch_size: int = parameter(
        default=256,
        allowed=[Interval(Integral, 1, None, closed="left")],
        doc="""int
        Number of rows of a mini-batch.""",
    )
    max_iter: int = parameter(
        default=200,
        allowed=[Interval(Integral, 1, None, closed="left")],
        doc="""int
        Largest number of epochs until a network trains on all rows.""",
    )
    n_iter_no_change: int = parameter(
        default=16,
        allowed=[Interval(Integral, 1, None, closed="left")],
        doc="""int
        A network stops training after this number of epochs without a lower loss on the rows that it holds out. It
        continues on all rows with the weights of its best epoch.""",
    )
    n_bins: int = parameter(
        default=16,
        allowed=[Interval(Integral, 1, None, closed="left")],
        doc="""int
        Largest number of bins of `PiecewiseLinearEncoder` in a column.""",
    )
    max_one_hot: int = parameter(
        default=64,
        allowed=[Interval(Integral, 1, None, closed="left")],
        doc="""int
        Largest number of levels of a category that is one-hot encoded. A category of more levels is encoded by the
        mean of the target for each level, cross-fitted within the rows that a network is trained on.""",
    )
    random_state: int | np.random.RandomState | None = parameter(
        default=None,
        allowed=["random_state"],
        doc="""int, RandomState instance or None
        Source of the folds, the initial weights and the order of the rows.""",
    )
    n_jobs: int | None = parameter(
        default=None,
        allowed=[None, Interval(Integral, 1, None, closed="left"), Interval(Integral, None, -1, closed="right")],
        doc="""int or None
        Number of threads. None means all available cores, or 1 inside joblib's thread workers. Results do not depend
        on it.""",
    )
