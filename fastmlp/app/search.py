"""The grid search over alpha x hidden_layer_sizes, the same for every library that is timed."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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

# The joblib backend of each library. fastmlp releases the interpreter lock, so threads are sufficient; they start at
# once and share the compiled kernels. scikit-learn holds the lock most of the time: its fits took more than twice as
# long in threads as in processes.
BACKENDS = {"fastmlp": "threading", "scikit-learn": "loky"}


class Split(NamedTuple):
    """The rows for the search, and the test rows."""

    X: Any
    X_test: Any
    y: NDArray[np.generic]
    y_test: NDArray[np.generic]


@dataclass(frozen=True)
class Outcome:
    """The result of a search.

    Attributes
    ----------
    library : str
        Library of the MLP.
    search : GridSearchCV
        The fitted search.
    seconds : float
        Time of the search, including the last fit on all training rows.
    test_score : float
        Accuracy or R2 of this last fit on the test rows.
    ready : float
        Seconds to start the workers and to load the kernels, before the search.
    """

    library: str
    search: Any
    seconds: float
    test_score: float
    ready: float

    @property
    def scores(self) -> NDArray[np.float64]:
        """Mean scores over the folds, of shape (n_alphas, n_sizes), in the order of scikit-learn's ParameterGrid."""
        scores = np.asarray(self.search.cv_results_["mean_test_score"], dtype=np.float64)
        return scores.reshape(len(ALPHAS), len(SIZES))

    @property
    def best(self) -> dict[str, Any]:
        """The best parameters, with the names that they have in the MLP instead of the pipeline."""
        return _own_names(self.search.best_params_)

    @property
    def unconverged(self) -> int:
        """Number of fits of the search that reached max_iter."""
        epochs = [self.search.cv_results_[f"split{fold}_test_epochs"] for fold in range(FOLDS)]
        return int(np.sum(np.asarray(epochs) >= mlp_of(self.search.best_estimator_).max_iter))

    @property
    def failed(self) -> int:
        """Number of fits of the search that raised an error."""
        return int(sum(np.isnan(self.search.cv_results_[f"split{fold}_test_score"]).sum() for fold in range(FOLDS)))


class Scorer:
    """Score a fitted pipeline, and append the score to the file `log` for the progress display.

    GridSearchCV calls the scorer after each fit, in any thread or process. All of them can append to the same file.
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
    """Set test rows aside. For classification, the split is stratified."""
    stratify = table.y if table.task == "classification" else None
    X, X_test, y, y_test = train_test_split(table.X, table.y, test_size=TEST_SIZE, stratify=stratify, random_state=seed)
    return Split(X, X_test, y, y_test)


def columns(table: Table) -> Any:
    """Return the transformer that makes the inputs of an MLP: scaled numbers and one-hot encoded texts."""
    if table.preparation is None:
        return StandardScaler()
    # keep_empty_features: all values of a column may be missing in the training rows of a fold.
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
    """Return a pipeline of the preprocessing and `model`, so that the preprocessing is fitted again in each fold."""
    whole = Pipeline([("columns", columns(table)), ("mlp", model)])
    if table.task == "classification":
        return whole
    # scikit-learn's defaults of the learning rate and the tolerance are made for targets of about unit variance.
    return TransformedTargetRegressor(regressor=whole, transformer=StandardScaler())


def folds(task: str, seed: int) -> Any:
    """Return the cross-validation splitter, which is the same for all models."""
    splitter = StratifiedKFold if task == "classification" else KFold
    return splitter(FOLDS, shuffle=True, random_state=seed)


def mlp_of(estimator: Any) -> Any:
    """Return the MLP of a fitted pipeline that `pipeline` has made."""
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
    """Start the workers, load or compile the code of the MLP of `library`, and return the seconds that this took.

    Every worker fits a few rows. Otherwise, the first fit of the search in each process would include this time.
    """
    small = new_mlp(library, task, 0).set_params(hidden_layer_sizes=(2,), max_iter=1)
    y = data.y[np.unique(data.y, return_index=True)[1][:200]]
    X = np.linspace(0, 1, len(y)).reshape(-1, 1)
    start = time.perf_counter()
    with quiet(), joblib.parallel_config(backend=BACKENDS[library]):
        # Ctrl-C in this block would be lost, so threads start outside of it.
        with nullcontext() if BACKENDS[library] == "threading" else _children_ignore_interrupts():
            # With a generator, the call returns as soon as the workers are started and have their tasks.
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
    # A function of this module instead of `mlp.fit`, so that the workers import the module of `Scorer` now and not
    # during the search.
    clone(mlp).fit(X, y)


def new_mlp(library: str, task: str, seed: int, max_iter: int = MAX_ITER) -> Any:
    """Return the MLP of `library`. That of fastmlp uses one thread, because the other cores run other fits."""
    if library == "fastmlp":
        ours = fastmlp.MLPClassifier if task == "classification" else fastmlp.MLPRegressor
        return ours(max_iter=max_iter, random_state=seed, n_jobs=1)
    theirs = neural_network.MLPClassifier if task == "classification" else neural_network.MLPRegressor
    return theirs(max_iter=max_iter, random_state=seed)


def gradient_check(table: Table, data: Split, seed: int) -> fastmlp.GradientCheck:
    """Compare backpropagation with central differences, for the first candidate and a few rows."""
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
    """Search with the MLP of `library`. Every finished fit appends a line to `log`; `ready` is part of the result."""
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
    """Return each size with its best alpha, and the loss of every epoch of a fit on all training rows."""
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
    """Hide the warnings that the report summarises, here and in scikit-learn's workers, which inherit the filters."""
    with warnings.catch_warnings():
        for category in QUIET:
            warnings.simplefilter("ignore", category)
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")
        warnings.filterwarnings("ignore", "Training interrupted by user")  # Ctrl-C reaches the workers too
        # Each worker of scikit-learn resets the filters and sets them again. Workers that are threads share the
        # filters, so a warning of another thread in between would be shown.
        show = warnings.showwarning

        def show_others(message: Any, category: type[Warning], *args: Any, **options: Any) -> None:
            if not issubclass(category, QUIET):
                show(message, category, *args, **options)

        warnings.showwarning = show_others
        yield
