"""The grid search over alpha x hidden_layer_sizes, the same for every library that is timed."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn import neural_network
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.parallel import Parallel, delayed

import fastmlp
from fastmlp.app.table import Table

ALPHAS = (1e-4, 1e-2, 1.0, 10.0)
SIZES = ((32,), (64,), (128,))
FOLDS = 5
FITS = len(ALPHAS) * len(SIZES) * FOLDS
MAX_ITER = 200  # scikit-learn's default
TEST_SIZE = 0.2
QUIET = (ConvergenceWarning, FitFailedWarning)
CHECKED_ROWS, CHECKED_PARAMS = 64, 50  # of the gradient check: rows, and components of each array

# Each library with the workers that suit it. fastmlp computes outside the interpreter lock: threads do, and
# need no start and no kernels of their own. Scikit-learn's fits hold the lock most of the time and took more
# than twice as long in threads as in processes.
BACKENDS = {"fastmlp": "threading", "scikit-learn": "loky"}


class Split(NamedTuple):
    """The rows to search on and the rows set aside for the test."""

    X: Any
    X_test: Any
    y: NDArray[np.generic]
    y_test: NDArray[np.generic]


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes
    ----------
    library : str
        Whose MLP it was.
    search : GridSearchCV
        The fitted search.
    seconds : float
        How long it took, the last fit on all training rows included.
    test_score : float
        Accuracy or R2 of that last fit on the rows set aside.
    ready : float
        Seconds from the first call to ready workers and kernels, before the search.
    """

    library: str
    search: Any
    seconds: float
    test_score: float
    ready: float

    @property
    def scores(self) -> NDArray[np.float64]:
        """Mean score over the folds, alphas x sizes: the order of scikit-learn's ParameterGrid."""
        scores = np.asarray(self.search.cv_results_["mean_test_score"], dtype=np.float64)
        return scores.reshape(len(ALPHAS), len(SIZES))

    @property
    def best(self) -> dict[str, Any]:
        """The best parameters by their own names."""
        return _own_names(self.search.best_params_)

    @property
    def unconverged(self) -> int:
        """How many fits of the search were stopped by max_iter."""
        epochs = [self.search.cv_results_[f"split{fold}_test_epochs"] for fold in range(FOLDS)]
        return int(np.sum(np.asarray(epochs) >= mlp_of(self.search.best_estimator_).max_iter))

    @property
    def failed(self) -> int:
        """How many fits of the search ended with an error."""
        return int(sum(np.isnan(self.search.cv_results_[f"split{fold}_test_score"]).sum() for fold in range(FOLDS)))


class Scorer:
    """Score a fitted pipeline, and tell the progress display through the file `log`.

    GridSearchCV calls it once a fit, in a thread or process of its own; a file opened for appending takes one
    line from each of them, whichever they are.
    """

    def __init__(self, log: Path) -> None:
        self.log = log

    def __call__(self, estimator: Any, X: Any, y: Any) -> dict[str, float]:
        score = float(estimator.score(X, y))
        mlp = mlp_of(estimator)
        with self.log.open("a") as file:
            file.write(f"{mlp.alpha} {mlp.hidden_layer_sizes}\t{score}\n")
        return {"score": score, "epochs": mlp.n_iter_}


def split(table: Table, seed: int) -> Split:
    """Set a test set aside, with every class in proportion."""
    stratify = table.y if table.task == "classification" else None
    X, X_test, y, y_test = train_test_split(table.X, table.y, test_size=TEST_SIZE, stratify=stratify, random_state=seed)
    return Split(X, X_test, y, y_test)


def columns(table: Table) -> Any:
    """Return the transformer that gives an MLP its inputs: scaled numbers and one-hot encoded texts."""
    if table.preparation is None:
        return StandardScaler()
    # keep_empty_features: a column may have no value at all in the training rows of one fold.
    scale = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    encode = make_pipeline(
        SimpleImputer(strategy="most_frequent", keep_empty_features=True),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    texts = list(table.X.select_dtypes("category"))
    numbers = [name for name in table.X if name not in texts]
    kinds = [("numbers", scale, numbers), ("texts", encode, texts)]
    return ColumnTransformer([kind for kind in kinds if kind[2]])


def pipeline(table: Table, model: Any) -> Any:
    """Return preprocessing + `model`, fitted together so that no fold sees the rows it is scored on."""
    whole = Pipeline([("columns", columns(table)), ("mlp", model)])
    if table.task == "classification":
        return whole
    # Scikit-learn's defaults (first step size, tolerance) suit targets of about unit size.
    return TransformedTargetRegressor(regressor=whole, transformer=StandardScaler())


def folds(task: str, seed: int) -> Any:
    """Return the splitter whose folds all models are scored on."""
    splitter = StratifiedKFold if task == "classification" else KFold
    return splitter(FOLDS, shuffle=True, random_state=seed)


def mlp_of(estimator: Any) -> Any:
    """Return the MLP at the end of what `pipeline` built."""
    return getattr(estimator, "regressor_", estimator)[-1]


def input_names(estimator: Any) -> list[str]:
    """Return the name of each input of the MLP in a fitted `estimator`."""
    fitted = getattr(estimator, "regressor_", estimator)[0]
    if not isinstance(fitted, ColumnTransformer):
        return [f"x{j}" for j in range(fitted.n_features_in_)]
    names: list[str] = []
    for kind, transformer, own in fitted.transformers_:
        if kind == "numbers":
            names += own
        elif kind == "texts":
            for name, seen in zip(own, transformer[-1].categories_, strict=True):
                names += [f"{name} = {text}" for text in seen]
    return names


def warm_up(library: str, task: str, data: Split, jobs: int) -> float:
    """Start the workers, load or compile what the MLP of `library` needs, and return the seconds it took.

    Every worker fits a few rows; without it whatever comes first in a process would pay for all this.
    """
    small = new_mlp(library, task, 0).set_params(hidden_layer_sizes=(2,), max_iter=1)
    y = data.y[np.unique(data.y, return_index=True)[1][:200]]
    X = np.linspace(0, 1, len(y)).reshape(-1, 1)
    start = time.perf_counter()
    with quiet(), joblib.parallel_config(backend=BACKENDS[library]):
        with _children_ignore_interrupts():
            # As a generator, the call returns as soon as the workers are started and have their tasks.
            fits = Parallel(n_jobs=jobs, return_as="generator")(delayed(_fit)(small, X, y) for _ in range(2 * jobs))
        for _ in fits:
            pass
    return time.perf_counter() - start


@contextmanager
def _children_ignore_interrupts() -> Iterator[None]:
    """Start processes inside the ``with`` block that ignore Ctrl-C.

    A terminal sends Ctrl-C to the whole group of processes. Workers that are still importing would each print a
    traceback; this process stops them anyway. A child inherits that a signal is ignored, but no handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python sets signal handlers in the main thread only
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _fit(mlp: Any, X: Any, y: Any) -> None:
    # Not `mlp.fit` itself: workers that look this function up import the module of `Scorer`, which the search
    # would otherwise have to wait for.
    clone(mlp).fit(X, y)


def new_mlp(library: str, task: str, seed: int, max_iter: int = MAX_ITER) -> Any:
    """Return the MLP of `library`; fastmlp's on one thread, for the cores are busy with other fits."""
    if library == "fastmlp":
        ours = fastmlp.MLPClassifier if task == "classification" else fastmlp.MLPRegressor
        return ours(max_iter=max_iter, random_state=seed, n_jobs=1)
    theirs = neural_network.MLPClassifier if task == "classification" else neural_network.MLPRegressor
    return theirs(max_iter=max_iter, random_state=seed)


def gradient_check(table: Table, data: Split, seed: int) -> fastmlp.GradientCheck:
    """Check back-propagation against central differences before it is trusted: first candidate, a few rows."""
    mlp = new_mlp("fastmlp", table.task, seed).set_params(hidden_layer_sizes=SIZES[0], alpha=ALPHAS[0])
    X = columns(table).fit_transform(data.X)[:CHECKED_ROWS]
    y = data.y if table.task == "classification" else StandardScaler().fit_transform(data.y.reshape(-1, 1)).ravel()
    return fastmlp.check_gradient(mlp, X, y[:CHECKED_ROWS], max_params=CHECKED_PARAMS, random_state=seed)


def run(
    library: str,
    table: Table,
    data: Split,
    log: Path,
    jobs: int,
    seed: int,
    ready: float,
    max_iter: int = MAX_ITER,
) -> Outcome:
    """Search with the MLP of `library`, ready after `ready` seconds; every finished fit adds a line to `log`."""
    mlp = new_mlp(library, table.task, seed, max_iter)
    prefix = "mlp__" if table.task == "classification" else "regressor__mlp__"
    search = GridSearchCV(
        pipeline(table, mlp),
        {f"{prefix}alpha": ALPHAS, f"{prefix}hidden_layer_sizes": SIZES},
        scoring=Scorer(log),
        refit="score",
        cv=folds(table.task, seed),
        n_jobs=jobs,
    )
    start = time.perf_counter()
    with quiet(), joblib.parallel_config(backend=BACKENDS[library]):
        search.fit(data.X, data.y)
    seconds = time.perf_counter() - start
    test_score = float(search.best_estimator_.score(data.X_test, data.y_test))
    return Outcome(library, search, seconds, test_score, ready)


def best_of_each_size(outcome: Outcome, data: Split) -> list[tuple[tuple[int, ...], float, list[float]]]:
    """Return each size with its best alpha and the loss of every epoch of a fit on all training rows."""
    search = outcome.search
    curves: list[tuple[tuple[int, ...], float, list[float]]] = []
    for s, size in enumerate(SIZES):
        if np.isnan(outcome.scores[:, s]).all():
            continue
        a = int(np.nanargmax(outcome.scores[:, s]))
        candidate = a * len(SIZES) + s
        fitted = search.best_estimator_
        if candidate != search.best_index_:
            fitted = clone(search.estimator).set_params(**search.cv_results_["params"][candidate])
            with quiet():
                fitted.fit(data.X, data.y)
        curves.append((size, ALPHAS[a], list(mlp_of(fitted).loss_curve_)))
    return curves


def _own_names(params: dict[str, Any]) -> dict[str, Any]:
    return {name.rpartition("__")[2]: value for name, value in params.items()}


@contextmanager
def quiet() -> Iterator[None]:
    """Hide what the report says anyway, here and in scikit-learn's workers, which inherit the filters."""
    with warnings.catch_warnings():
        for category in QUIET:
            warnings.simplefilter("ignore", category)
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")
        warnings.filterwarnings("ignore", "Training interrupted by user")  # Ctrl-C reaches the workers too
        # Each of scikit-learn's workers empties the filters and fills them again, and those that are threads share
        # them: a warning of another thread in between would be shown.
        show = warnings.showwarning

        def show_others(message: Any, category: type[Warning], *args: Any, **options: Any) -> None:
            if not issubclass(category, QUIET):
                show(message, category, *args, **options)

        warnings.showwarning = show_others
        yield
