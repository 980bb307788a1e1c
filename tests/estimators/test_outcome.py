"""The attributes that show the progress and the result of training."""

import threading
from _thread import interrupt_main

import numpy as np
import pytest

from fastmlp import MLPClassifier
from fastmlp.training import _engine
from fastmlp.training._threads import Team

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("multiclass", {"early_stopping": True}),
        ("multilabel", {}),
        ("binary", {"solver": "lbfgs"}),
        ("outputs", {"solver": "sgd", "learning_rate": "adaptive"}),
        ("poisson", {"solver": "lbfgs"}),
    ],
)
def test_attributes_of_each_solver_match_scikit_learn(kind, params, problems, needs_sklearn):
    if kind == "poisson":
        needs_sklearn("1.7", "the parameter loss of MLPRegressor")
    problem = problems[kind]
    ours, theirs = (
        Estimator(max_iter=3, random_state=0, **problem.params, **params).fit(problem.X, problem.y)
        for Estimator in (problem.ours, problem.theirs)
    )
    public = [
        {name: type(value) for name, value in vars(model).items() if name.endswith("_") and name[0] != "_"}
        for model in (ours, theirs)
    ]
    assert public[0].keys() - {"validation_loss_curve_", "best_epoch_"} == public[1].keys()
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "coefs_", "loss_curve_"):
        assert public[0].get(name) == public[1].get(name), name


@pytest.mark.parametrize(
    ("params", "calls"),
    [
        ({}, 300),
        ({"early_stopping": True}, 300),
        ({"solver": "lbfgs", "max_fun": 10**9, "hidden_layer_sizes": (400, 400)}, 25),
    ],
)
def test_interrupted_training_keeps_the_current_weights(params, calls, problems, monkeypatch):
    """Ctrl-C ends a fit that would never end; the model can be used. It comes after a number of calls of the kernel."""
    problem = problems["multiclass"]
    endless = {"tol": 0.0, "n_iter_no_change": np.inf, "max_iter": 10**7}
    model = MLPClassifier(**{"hidden_layer_sizes": 60, "random_state": 0, **endless, **params})
    run, begun, learned = Team.run, [], threading.Event()

    def counted(team, *args, **options):
        begun.append(None)
        if len(begun) == calls:
            learned.set()
        return run(team, *args, **options)

    def interrupt():
        learned.wait()
        interrupt_main()

    monkeypatch.setattr(Team, "run", counted)
    monkeypatch.setattr(_engine, "CALL_SECONDS", 0.0)  # one mini-batch in each call
    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(problem.X, problem.y)
    thread.join()
    monkeypatch.undo()
    assert 0 < model.n_iter_ < 10**7
    assert model.score(problem.X, problem.y) > 0.5
    if model.solver == "adam":
        assert len(model.loss_curve_) == model.n_iter_
        assert model.t_ % model.n_iter_ == 0
        assert model.loss_ == model.loss_curve_[-1]
