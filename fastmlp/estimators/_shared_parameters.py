"""The parameters that all estimators share, one declaration each."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from fastmlp.kernels.tables import ACTIVATIONS
from fastmlp.training._initialization import INITS
from fastmlp.training._schedules import SCHEDULES

from ._parameters import parameter, with_parameters
from ._sklearn import Interval, Options, StrOptions

__all__ = ["STOCHASTIC_SOLVERS", "SharedParameters"]

STOCHASTIC_SOLVERS = ("sgd", "adam")


@with_parameters
class SharedParameters:
    """Parameters of `MLPClassifier`, `MLPRegressor` and `MLPAutoencoder`; up to `max_fun` they are scikit-learn's."""

    hidden_layer_sizes: Any = parameter(
        default=(100,),
        allowed=["array-like", Interval(Integral, 1, None, closed="left")],
        doc="""int or array-like of shape (n_hidden_layers,)
        Number of units of each hidden layer. An empty sequence means no hidden layer, which is logistic or linear
        regression.""",
        kw_only=False,
    )
    activation: str | Sequence[str] = parameter(
        default="relu",
        allowed=[StrOptions(set(ACTIVATIONS)), list, tuple],
        doc="""str or list of str
        Activation of the hidden layers, one name for all of them or one name for each: 'identity', 'logistic',
        'tanh', 'relu', 'leaky_relu' (slope 0.01 below zero), 'elu', 'selu', 'gelu' (exact), 'silu', 'softplus' or
        'maxout'.""",
        kw_only=False,
    )
    solver: str = parameter(
        default="adam",
        allowed=[StrOptions({"lbfgs", *STOCHASTIC_SOLVERS})],
        doc="""{'adam', 'sgd', 'lbfgs'}
        Optimizer. 'adam' (Kingma & Ba 2015) and 'sgd' train by mini-batches. 'lbfgs' is SciPy's L-BFGS-B on the whole
        data, in float64; it is often better on a few hundred rows.""",
    )
    alpha: float = parameter(
        default=0.0001,
        allowed=[Interval(Real, 0, None, closed="left")],
        doc="""float
        Strength lambda of the L2 penalty, see `penalty_scaling`. Biases are never penalised.""",
    )
    batch_size: int | str = parameter(
        default="auto",
        allowed=[StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        doc="""int or 'auto'
        Number of rows of a mini-batch. 'auto' means min(200, n_samples). Not used by 'lbfgs'.""",
    )
    learning_rate: str = parameter(
        default="constant",
        allowed=[StrOptions({"invscaling", "adaptive", *SCHEDULES}), callable],
        doc="""str or callable
        Learning rate schedule. For 'sgd' only, as in scikit-learn: 'invscaling' uses
        learning_rate_init / (t + 1)^power_t after t samples; 'adaptive' divides the rate by 5 whenever the stopping
        rule would stop training, until the rate is below 1e-6. For 'sgd' and 'adam', with u the fraction of
        training that is done (the mini-batches so far, divided by those of max_iter epochs), learning_rate_init is
        multiplied by: 'cosine' (1 + cos(pi u)) / 2; 'linear' 1 - u; 'exponential' 0.01^u; 'step' 1, then 0.1 from
        u = 0.5 and 0.01 from u = 0.75; 'one_cycle' a rise from 1/25 to 1 until u = 0.3 and a fall to 4e-6, both along
        a cosine (Smith & Topin 2018); a callable f(u), which returns a number >= 0.""",
    )
    learning_rate_init: float = parameter(
        default=0.001,
        allowed=[Interval(Real, 0, None, closed="neither")],
        doc="""float
        Initial learning rate of 'sgd' and 'adam'.""",
    )
    power_t: float = parameter(
        default=0.5,
        allowed=[Interval(Real, 0, None, closed="left")],
        doc="""float
        Exponent of the schedule 'invscaling'.""",
    )
    max_iter: int = parameter(
        default=200,
        allowed=[Interval(Integral, 1, None, closed="left")],
        doc="""int
        Maximum number of epochs; for 'lbfgs', of iterations.""",
    )
    shuffle: bool = parameter(
        default=True,
        allowed=["boolean"],
        doc="""bool
        Whether to shuffle the rows in each epoch.""",
    )
    random_state: int | np.random.RandomState | None = parameter(
        default=None,
        allowed=["random_state"],
        doc="""int, RandomState instance or None
        Source of the initial weights, the validation split and the row orders. They are drawn as scikit-learn draws
        them.""",
    )
    tol: float = parameter(
        default=1e-4,
        allowed=[Interval(Real, 0, None, closed="left")],
        doc="""float
        Smallest change of the loss (or of the validation score) that counts as an improvement. For 'lbfgs', the
        gradient norm below which training stops.""",
    )
    verbose: bool | int = parameter(
        default=False,
        allowed=["verbose"],
        doc="""bool or int
        Whether to print the loss of each epoch. 2 shows one line that is updated in place: epoch, loss, validation
        score, learning rate and time left.""",
    )
    warm_start: bool = parameter(
        default=False,
        allowed=["boolean"],
        doc="""bool
        Whether `fit` continues from the current weights.""",
    )
    momentum: float = parameter(
        default=0.9,
        allowed=[Interval(Real, 0, 1, closed="both")],
        doc="""float
        Momentum of 'sgd', between 0 and 1.""",
    )
    nesterovs_momentum: bool = parameter(
        default=True,
        allowed=["boolean"],
        doc="""bool
        Whether to use Nesterov's momentum.""",
    )
    early_stopping: bool = parameter(
        default=False,
        allowed=["boolean"],
        doc="""bool
        Whether to stop when the score on a validation set no longer improves, and to restore the weights with the best
        score.""",
    )
    validation_fraction: float = parameter(
        default=0.1,
        allowed=[Interval(Real, 0, 1, closed="left")],
        doc="""float
        Fraction of the rows that `early_stopping` sets aside for validation.""",
    )
    beta_1: float = parameter(
        default=0.9,
        allowed=[Interval(Real, 0, 1, closed="left")],
        doc="""float
        Decay rate of Adam's first moments, in [0, 1).""",
    )
    beta_2: float = parameter(
        default=0.999,
        allowed=[Interval(Real, 0, 1, closed="left")],
        doc="""float
        Decay rate of Adam's second moments, in [0, 1).""",
    )
    epsilon: float = parameter(
        default=1e-8,
        allowed=[Interval(Real, 0, None, closed="neither")],
        doc="""float
        Constant that keeps Adam from dividing by zero.""",
    )
    n_iter_no_change: float = parameter(
        default=10,
        allowed=[Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        doc="""int
        Number of epochs without improvement after which training stops.""",
    )
    max_fun: int = parameter(
        default=15000,
        allowed=[Interval(Integral, 1, None, closed="left")],
        doc="""int
        Maximum number of evaluations of the cost by 'lbfgs'.""",
    )
    n_jobs: int | None = parameter(
        default=None,
        allowed=[None, Interval(Integral, 1, None, closed="left"), Interval(Integral, None, -1, closed="right")],
        doc="""int or None
        Number of threads within one fit or prediction. None means as many of the available cores as speed up the
        computation, but 1 inside joblib's thread workers, and not more than joblib allows in its worker processes.
        Results do not depend on it.""",
    )
    penalty_scaling: str = parameter(
        default="mean",
        allowed=[StrOptions({"mean", "sum"})],
        doc="""{'mean', 'sum'}
        The penalty is alpha / (2 m) sum W^2 ('mean', as in scikit-learn) or alpha / 2 sum W^2 ('sum'), where m is the
        number of rows of the batch, or the sum of their sample weights.""",
    )
    init: str | Sequence[Any] = parameter(
        default="glorot",
        allowed=[StrOptions(set(INITS)), tuple, list],
        doc="""{'glorot', 'he', 'lecun', 'orthogonal', 'uniform'} or (coefs, intercepts)
        Initial weights. 'glorot' gives those of scikit-learn.""",
    )
    init_scale: float = parameter(
        default=0.12,
        allowed=[Interval(Real, 0, None, closed="neither")],
        doc="""float
        For init='uniform': weights and biases are drawn from [-init_scale, init_scale].""",
    )
    maxout_pieces: int = parameter(
        default=2,
        allowed=[Interval(Integral, 2, None, closed="left")],
        doc="""int
        Number of linear pieces of a 'maxout' unit. `coefs_` of such a layer has maxout_pieces x units columns: first
        the first piece of every unit, then the second, and so on.""",
    )
    batch_norm: bool = parameter(
        default=False,
        allowed=["boolean"],
        doc="""bool
        Whether to normalise the pre-activations of the hidden layers over the mini-batch (Ioffe & Szegedy 2015).
        Predictions use running statistics. Means and variances do not depend on `sample_weight`, so a row of weight 2
        is not the same as two rows.""",
    )
    scoring: Any = parameter(
        default=None,
        allowed=[None, str, callable],
        doc="""str, callable or None
        What the validation data are scored by: a name or a scorer as in scikit-learn, or 'loss' for the loss without
        the penalty. None: the method `score`. The score decides when `early_stopping` stops training, and which epoch
        is the best.""",
    )
    stratify: Any = parameter(
        default="auto",
        allowed=[StrOptions({"auto"}), "boolean"],
        doc="""bool or 'auto'
        Whether `early_stopping` sets aside the same fraction of each class. 'auto': for two classes only, as in
        scikit-learn.""",
    )
    restore_best_weights: Any = parameter(
        default="auto",
        allowed=[StrOptions({"auto"}), "boolean"],
        doc="""bool or 'auto'
        Whether training returns to the weights of its best epoch, by the validation score, or without validation data
        by the training loss. 'auto': with `early_stopping`, as in scikit-learn.""",
    )
    dropout: Any = parameter(
        default=0.0,
        stochastic_only=True,
        allowed=[Interval(Real, 0, 1, closed="left"), list, tuple],
        doc="""float or list of float
        Fraction of units that are set to zero at random in training, while the others are divided by 1 - dropout
        (Srivastava et al. 2014). A number holds for all hidden layers; a list has one number for the input and one for
        each hidden layer. In a residual layer, the units are dropped before the input of the layer is added. The random
        numbers depend on `random_state` only, not on the number of threads.""",
    )
    dropout_schedule: Any = parameter(
        default="constant",
        allowed=[StrOptions(set(SCHEDULES)), callable],
        doc="""str or callable
        Schedule by which `dropout` is multiplied, see `learning_rate`.""",
    )
    weight_decay: float = parameter(
        default=0.0,
        stochastic_only=True,
        allowed=[Interval(Real, 0, None, closed="left")],
        doc="""float
        Decoupled weight decay (Loshchilov & Hutter 2019; with 'adam', AdamW): each step multiplies the weights, but not
        the biases, by 1 - learning rate x weight_decay. `alpha` is a penalty of the loss instead; to replace it, set
        alpha=0.""",
    )
    weight_decay_schedule: Any = parameter(
        default="constant",
        allowed=[StrOptions(set(SCHEDULES)), callable],
        doc="""str or callable
        Schedule by which `weight_decay` is multiplied, besides the learning rate; see `learning_rate`.""",
    )
    warmup: float = parameter(
        default=0.0,
        stochastic_only=True,
        allowed=[Interval(Real, 0, 1, closed="left")],
        doc="""float
        Fraction of training in which the learning rate first rises linearly from 0 to learning_rate_init; the schedule
        takes the rest of training for the whole. Not for 'invscaling' and 'adaptive'.""",
    )
    max_grad_norm: float | None = parameter(
        default=None,
        stochastic_only=True,
        allowed=[None, Interval(Real, 0, None, closed="neither")],
        doc="""float or None
        Largest Euclidean norm of the gradient of a mini-batch, over all weights and biases (Pascanu, Mikolov & Bengio
        2013); a longer gradient is scaled to this norm. None: no limit.""",
    )
    average: Any = parameter(
        default=False,
        stochastic_only=True,
        allowed=["boolean", Interval(Real, 0, 1, closed="neither")],
        doc="""bool or float
        Whether predictions use an exponential moving average of the weights instead of the weights of the last
        mini-batch (Polyak & Juditsky 1992), and its decay d; True means 0.99. After t mini-batches, the average is
        (1 - d) / (1 - d^t) times the sum of d^(t - s) w_s (Kingma & Ba 2015, section 7.2, with correction of the bias).
        `coefs_`, validation scores and the best weights are averages, `loss_` is the loss of the weights in training.
        The running statistics of `batch_norm` are averaged in the same way. `partial_fit` and `warm_start` continue
        both the weights in training and their average. 'sgd' and 'adam' only.""",
    )
    learning_rate_multipliers: Any = parameter(
        default=None,
        stochastic_only=True,
        allowed=[None, list, tuple],
        doc="""list or None
        Factors of the learning rate, one for each layer of weights: a number >= 0, or a pair of numbers for its weights
        and its biases. None: 1.""",
    )
    dtype: str | None = parameter(
        default=None,
        allowed=[None, StrOptions({"float32", "float64"})],
        doc="""{'float32', 'float64'} or None
        Precision of the weights, of training and of predictions. X is converted once, in `fit` and in each prediction.
        None, as in scikit-learn: float32 if X is float32, otherwise float64. 'float32' takes about half the time of
        'float64'; not for 'lbfgs', which computes in float64.""",
    )
    residual: bool = parameter(
        default=False,
        allowed=["boolean"],
        doc="""bool
        Whether a hidden layer that is as wide as its input adds its input to its output.""",
    )
