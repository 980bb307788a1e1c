"""Optuna studies with several threads: each trial has the score that it has alone."""

import pytest
from sklearn.model_selection import cross_val_score

from fastmlp import MLPClassifier

optuna = pytest.importorskip("optuna")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*catch_warnings"),
]


def test_trials_in_threads_have_the_scores_of_single_trials(problems):
    X, y = problems["multiclass"][2:4]

    def score(params):
        # One thread for each fit: the cores belong to the trials.
        model = MLPClassifier(**params, max_iter=10, random_state=0, n_jobs=1)
        return cross_val_score(model, X, y, cv=3).mean()

    def objective(trial):
        return score(
            {
                "alpha": trial.suggest_float("alpha", 1e-5, 10, log=True),
                "hidden_layer_sizes": trial.suggest_int("hidden_layer_sizes", 4, 40),
            }
        )

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=12, n_jobs=2)
    assert len(study.trials) == 12
    for trial in study.trials:
        assert trial.value == score(trial.params)
    assert study.best_value == max(trial.value for trial in study.trials)
