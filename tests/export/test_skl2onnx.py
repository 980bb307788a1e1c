"""skl2onnx converts whatever contains fastmlp's estimators with the right converter, or refuses."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("onnxruntime", reason="the extra 'test-export' is not installed")
pytest.importorskip("skl2onnx", reason="the extra 'test-export' is not installed")

import onnxruntime
import skl2onnx
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from skl2onnx.operator_converters.multilayer_perceptron import convert_sklearn_mlp_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import BaggingClassifier, StackingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.export import register_skl2onnx, to_onnx
from fastmlp.export._skl2onnx import CLASSIFIER_OPTIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# What skl2onnx's own converter of MLPClassifier ignores.
SHAPE = {"hidden_layer_sizes": (6, 6), "batch_norm": True, "residual": True, "max_iter": 4, "random_state": 0}
CLASSIFIER = MLPClassifier(**SHAPE)
REGRESSOR = MLPRegressor(**SHAPE)
CODER = MLPAutoencoder((4, 2), max_iter=3, random_state=0)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), CLASSIFIER),
        make_pipeline(StandardScaler(), MLPClassifier(6, out_activation="logistic", max_iter=4, random_state=0)),
        make_pipeline(MinMaxScaler(), CODER, CLASSIFIER),
        make_pipeline(FeatureUnion([("scaled", StandardScaler()), ("codes", CODER)]), CLASSIFIER),
        GridSearchCV(CLASSIFIER, {"alpha": [1e-3, 1]}, cv=2),
        GridSearchCV(make_pipeline(StandardScaler(), CLASSIFIER), {"mlpclassifier__alpha": [1e-3, 1]}, cv=2),
        CalibratedClassifierCV(CLASSIFIER, cv=2),
        BaggingClassifier(CLASSIFIER, n_estimators=2, random_state=0),
        OneVsRestClassifier(CLASSIFIER),
    ],
)
@pytest.mark.parametrize("kind", ["strings", "multiclass"])
def test_classifier_inside_another_estimator(problems, run_onnx, model, kind):
    problem = problems[kind]
    X = problem.X.astype(np.float32)
    model.fit(X, problem.y)
    outputs = run_onnx(to_onnx(model, X), X)
    # The scalers' and the wrappers' own float32 operations add to the error.
    np.testing.assert_allclose(outputs["probabilities"], model.predict_proba(X), rtol=0, atol=5e-6)
    assert (outputs["label"] == model.predict(X)).mean() > 0.99


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), REGRESSOR),
        StackingRegressor([("mlp", REGRESSOR), ("ridge", Ridge())], cv=2),
        MultiOutputRegressor(REGRESSOR),
    ],
)
def test_regressor_inside_another_estimator(problems, run_onnx, model):
    problem = problems["regression" if isinstance(model, StackingRegressor) else "outputs"]
    X = problem.X.astype(np.float32)
    model.fit(X, problem.y)
    expected = model.predict(X).reshape(len(X), -1)
    np.testing.assert_allclose(run_onnx(to_onnx(model, X), X)["variable"], expected, rtol=0, atol=5e-6)


def test_autoencoder_at_the_end_of_a_pipeline_gives_codes(problems, run_onnx):
    X = problems["multiclass"].X
    model = make_pipeline(MinMaxScaler(), CODER).fit(X)
    np.testing.assert_allclose(run_onnx(to_onnx(model, X), X)["variable"], model.transform(X), rtol=0, atol=1e-14)


def test_table_of_numbers_and_words(rng):
    table = pd.DataFrame(
        {
            "length": rng.normal(size=60).astype(np.float32),
            "width": rng.normal(size=60).astype(np.float32),
            "colour": rng.choice(["red", "green", "blue"], 60),
        }
    )
    y = np.where(table["length"] + (table["colour"] == "red") > 0.3, "yes", "no")
    columns = make_column_transformer((StandardScaler(), ["length", "width"]), (OneHotEncoder(), ["colour"]))
    model = make_pipeline(columns, CLASSIFIER).fit(table, y)
    session = onnxruntime.InferenceSession(to_onnx(model, table).SerializeToString())
    inputs = {name: table[[name]].to_numpy() for name in table}
    label, probabilities = session.run(["label", "probabilities"], inputs)
    np.testing.assert_allclose(probabilities, model.predict_proba(table), rtol=0, atol=5e-6)
    np.testing.assert_array_equal(label, model.predict(table))


def test_options_are_those_of_scikit_learns_classifier(problems, run_onnx):
    problem = problems["strings"]
    X = problem.X.astype(np.float32)
    model = make_pipeline(StandardScaler(), CLASSIFIER).fit(X, problem.y)
    probabilities = model.predict_proba(X)

    # skl2onnx's default: a dictionary for each row.
    outputs = run_onnx(skl2onnx.to_onnx(model, X), X)
    assert list(outputs) == ["output_label", "output_probability"]
    rows = [[row[label] for label in model.classes_] for row in outputs["output_probability"]]
    np.testing.assert_allclose(rows, probabilities, rtol=0, atol=5e-6)

    columns = run_onnx(skl2onnx.to_onnx(model, X, options={"zipmap": "columns"}), X)
    assert list(columns) == ["output_label", *(f"s{label}" for label in model.classes_)]

    named = run_onnx(skl2onnx.to_onnx(model, X, options={"zipmap": False, "output_class_labels": True}), X)
    assert named["class_labels"].tolist() == model.classes_.tolist()

    numbered = run_onnx(skl2onnx.to_onnx(model, X, options={"zipmap": False, "nocl": True}), X)
    np.testing.assert_array_equal(model.classes_[numbered["label"]], model.predict(X))


@pytest.mark.parametrize("out_activation", ["auto", "logistic"])
@pytest.mark.parametrize("kind", ["binary", "strings", "multiclass", "multilabel", "single class"])
def test_raw_scores(problems, run_onnx, kind, out_activation):
    """Estimators such as CalibratedClassifierCV ask for what `decision_function` returns."""
    problem = problems["binary" if kind == "single class" else kind]
    X = problem.X.astype(np.float32)
    y = np.full(len(X), 3) if kind == "single class" else problem.y
    model = MLPClassifier(6, out_activation=out_activation, max_iter=4, random_state=0).fit(X, y)
    outputs = run_onnx(skl2onnx.to_onnx(model, X, options={"zipmap": False, "raw_scores": True}), X)
    scores = model.decision_function(X)
    if kind == "single class":
        scores = scores[:, np.newaxis]
    elif scores.ndim == 1:
        scores = np.column_stack((-scores, scores))
    np.testing.assert_allclose(outputs["probabilities"], scores, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(outputs["label"], model.predict(X))


def test_calibrated_binary_classifier(problems, run_onnx):
    problem = problems["binary"]
    model = CalibratedClassifierCV(CLASSIFIER, cv=2).fit(problem.X, problem.y)
    outputs = run_onnx(to_onnx(model, problem.X), problem.X)
    np.testing.assert_allclose(outputs["probabilities"], model.predict_proba(problem.X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, bool])
def test_input_of_other_types(problems, run_onnx, dtype):
    problem = problems["multiclass"]
    X = (problem.X > 0.5).astype(dtype)
    model = MLPClassifier(**SHAPE).fit(X, problem.y)
    outputs = run_onnx(skl2onnx.to_onnx(model, X, options={"zipmap": False}), X)
    assert outputs["probabilities"].dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(outputs["probabilities"], model.predict_proba(X), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "params", [{"batch_norm": True}, {"hidden_layer_sizes": (6, 6), "residual": True}, {"out_activation": "logistic"}]
)
def test_skl2onnxs_own_converter_is_not_used_even_if_registered(problems, run_onnx, params):
    problem = problems["multiclass"]
    X = problem.X.astype(np.float32)
    model = MLPClassifier(**{"hidden_layer_sizes": 6, **params}, max_iter=4, random_state=0).fit(X, problem.y)
    try:
        skl2onnx.update_registered_converter(
            MLPClassifier,
            "SklearnMLPClassifier",
            calculate_linear_classifier_output_shapes,
            convert_sklearn_mlp_classifier,
            options=CLASSIFIER_OPTIONS,
        )
        outputs = run_onnx(skl2onnx.to_onnx(model, X, options={"zipmap": False}), X)
    finally:
        register_skl2onnx()
    np.testing.assert_allclose(outputs["probabilities"], model.predict_proba(X), rtol=0, atol=1e-6)


def test_skl2onnx_refuses_without_the_registration(tmp_path):
    model = MLPRegressor(hidden_layer_sizes=2, solver="lbfgs", random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(model))
    # In a process of its own: the registration is global.
    program = """
import pickle, sys
from pathlib import Path
import numpy as np
import skl2onnx

model = pickle.loads(Path(sys.argv[1]).read_bytes())
try:
    skl2onnx.to_onnx(model, np.zeros((1, 1)))
except skl2onnx.common.exceptions.MissingShapeCalculator:
    print("refused")
import fastmlp.export
print(skl2onnx.to_onnx(model, np.zeros((1, 1))).graph.output[0].name)
"""
    result = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["refused", "variable"]
