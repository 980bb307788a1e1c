"""Every name in docs/formulas.md exists, and the diff on that page adds a working activation."""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastmlp
from fastmlp.inspection import _diagnostics
from fastmlp.reference import loops, vectorized

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "formulas.md").read_text(encoding="utf-8")
COLUMNS = ["part, formula", "references", "kernels", "public API", "tests"]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.split("\n## Adding")[0].splitlines()
    if line.startswith("|") and not line.startswith("| ---") and line.split("|")[1].strip() != COLUMNS[0]
]


# ---- Names ----


def parse(name):
    """Split a name such as `f`, `C.attribute` or `f(parameter, parameter=value)` into its target and its parameters."""
    tree = ast.parse(name, mode="eval").body
    if isinstance(tree, ast.Call):
        asked = {argument.id: inspect.Parameter.empty for argument in tree.args}
        return ast.unparse(tree.func), asked | {part.arg: ast.literal_eval(part.value) for part in tree.keywords}
    return name, {}


def look_up(dotted, *places):
    """Return the object with a dotted name from the first of the modules that exports it."""
    first, *rest = dotted.split(".")
    thing = next(getattr(place, first) for place in places if first in place.__all__)
    for name in rest:
        # Attributes of fitted models do not exist on the class; its docstring documents them.
        documented = re.search(rf"^\s*(\w+, )*{name}\b.* : ", inspect.getdoc(thing), re.MULTILINE)
        assert documented or hasattr(thing, name), dotted
        thing = getattr(thing, name, None)
    return thing


def check_parameters(thing, asked):
    """Check that every parameter exists and allows its value (for functions other than `cost`: has it as default)."""
    parameters = inspect.signature(thing).parameters
    values = {name: value for name, value in asked.items() if value is not inspect.Parameter.empty}
    assert set(asked) <= set(parameters)
    if inspect.isclass(thing):
        model = thing(**{"hidden_layer_sizes": (1,) * 5} | values)
        model._validate_params()
        model._activations(list(model.hidden_layer_sizes))
    elif thing.__name__ == "cost":
        # `fastmlp.cost` and the reference check their arguments alike (test_objective.py).
        pieces = values.get("maxout_pieces", 2) if values.get("activation") == "maxout" else 1
        network = [[[0.0] * pieces], [[0.0, 0.0]]], [[0.0] * pieces, [0.0, 0.0]]
        targets = [[1.0, 1.0]] if values.get("loss") == "gamma" else [[1.0, 0.0]]
        vectorized.cost(*network, [[1.0]], targets, **values)
    else:
        assert {name: parameters[name].default for name in values} == values


def check_reference(name):
    """Check that both references have the name."""
    for module in (loops, vectorized):
        table = re.fullmatch(r"([A-Z]+)\[(.+)\]", name)
        if table:
            assert ast.literal_eval(table[2]) in getattr(module, table[1]), name
        else:
            function, asked = parse(name)
            check_parameters(look_up(function, module), asked)


def check_api(name):
    dotted, asked = parse(name)
    thing = look_up(dotted, fastmlp, _diagnostics)
    if asked:
        check_parameters(thing, asked)


def functions_of(path):
    """Return the names of all functions in a file, nested ones included."""
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def check_file(folder):
    """Return a function that checks `file.py::function` in a folder."""

    def check(name):
        file, function = name.split("::")
        assert any(function in functions_of(path) for path in (ROOT / folder).rglob(file)), name

    return check


CHECKS = [check_reference, check_file("kernels"), check_api, check_file("tests")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_name_exists(row):
    assert len(row) == len(COLUMNS)
    for cell, check in zip(row[1:], CHECKS, strict=True):
        names = re.findall(r"`([^`]+)`", cell)
        # A cell holds either a list of names or the reason why there is none.
        assert cell == ", ".join(f"`{name}`" for name in names) if names else cell.startswith("none")
        for name in names:
            check(name)
    assert "`" in row[1]
    assert "::test_" in row[-1]


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (check_reference, "forwards"),
        (check_reference, 'ACTIVATIONS["sine"]'),
        (check_reference, 'OUTPUTS["softmax", "poisson"]'),
        (check_reference, "cost(lambda_)"),
        (check_reference, 'cost(penalty="max")'),
        (check_reference, "numerical_gradient(epsilon=1e-5)"),
        (check_file("kernels"), "activations.py::sine_forward"),
        (check_file("kernels"), "activation.py::relu_forward"),
        (check_file("tests"), "test_reference.py::test_all"),
        (check_api, "MLPTransformer"),
        (check_api, "MLPClassifier.weights_"),
        (check_api, "MLPClassifier.fit(weights)"),
        (check_api, "MLPClassifier(lambda_)"),
        (check_api, 'MLPClassifier(activation="sine")'),
        (check_api, 'MLPClassifier(activation=["relu", "sine"])'),
        (check_api, 'cost(output="softmax", loss="poisson")'),
        (check_api, "check_gradient(eps=1e-5)"),
        (check_api, "LayerDiagnosis.dead"),
    ],
)
def test_unknown_name_fails(check, name):
    with pytest.raises((AssertionError, AttributeError, OSError, StopIteration, ValueError)):
        check(name)


def test_every_table_entry_is_listed():
    text = "\n".join(row[1] for row in ROWS)
    for table in ("ACTIVATIONS", "OUTPUTS", "OPTIMIZERS"):
        named = {ast.literal_eval(key) for key in re.findall(rf"`{table}\[(.+?)\]`", text)}
        assert named == set(getattr(vectorized, table))


def test_fit_never_runs_gradient_check():
    """A gradient check needs two evaluations of the cost per weight, so only the user starts it."""
    paths = [path for folder in ("training", "estimators") for path in (ROOT / "fastmlp" / folder).glob("*.py")]
    assert len(paths) > 10
    for path in paths:
        assert "gradient_check" not in path.read_text(), path.name


# ---- The diff ----

DIFF = re.search(r"```diff\n(.*?)```", PAGE, re.DOTALL)[1]


def apply(diff, root):
    """Apply a unified diff strictly and return the names of the changed files.

    The line counts of every hunk must be right, and its old lines must occur exactly once.
    """
    files = []
    for part in re.split(r"^--- a/", diff, flags=re.MULTILINE)[1:]:
        head, *hunks = re.split(r"^(@@ .*)\n", part, flags=re.MULTILINE)
        name = head.split("\n")[0]
        assert head == f"{name}\n+++ b/{name}\n"
        text = (root / name).read_text()
        for position, body in zip(hunks[::2], hunks[1::2], strict=True):
            lines = [line or " " for line in body.splitlines()]
            old = [line[1:] for line in lines if line[0] in " -"]
            new = [line[1:] for line in lines if line[0] in " +"]
            counts = re.match(r"@@ -\d+,(\d+) \+\d+,(\d+) @@", position)
            assert [int(count) for count in counts.groups()] == [len(old), len(new)]
            before, after = ("".join(f"{line}\n" for line in side) for side in (old, new))
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (root / name).write_text(text)
        files.append(name)
    return files


SOFTSIGN = """
import sys
import warnings
from pathlib import Path

import numpy as np
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

import fastmlp
from fastmlp.reference import loops, vectorized

assert Path(fastmlp.__file__).is_relative_to(sys.argv[1])
warnings.simplefilter("error")
X, y = load_iris(return_X_y=True)
X = scale(X)
model = fastmlp.MLPClassifier((7, 5), "softsign", random_state=0, learning_rate_init=0.05, max_iter=40)
check = fastmlp.check_gradient(model, X[::3], y[::3])
assert check and check.relative < 1e-6, check

init = vectorized.initial_weights([4, 7, 5, 3], np.random.RandomState(0), activation="softsign")
options = {"activation": "softsign", "alpha": 1e-4}
some = X[::10], np.eye(3)[y[::10]]
slow, fast = (f(*init, *some, **options) for f in (loops.cost_and_gradient, fastmlp.cost_and_gradient))
assert_allclose(fast[0], slow[0], rtol=1e-12)
for ours, theirs in zip([*fast[1], *fast[2]], [*slow[1], *slow[2]], strict=True):
    assert_allclose(ours, theirs, atol=1e-13)

rng = np.random.RandomState(0)
init = vectorized.initial_weights([4, 7, 5, 3], rng, activation="softsign")
coefs, intercepts, loss_curve = vectorized.fit(
    *init, X, np.eye(3)[y], epochs=40, batch_size=150, learning_rate_init=0.05, rng=rng, **options
)
warnings.simplefilter("ignore", ConvergenceWarning)
model.fit(X, y)
for ours, theirs in zip([*model.coefs_, *model.intercepts_], [*coefs, *intercepts], strict=True):
    assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
assert_allclose(model.loss_curve_, loss_curve, rtol=1e-9)
h = vectorized.forward(coefs, intercepts, X, activation="softsign")[-1]
assert_allclose(model.predict_proba(X), h, atol=1e-9)
assert model.score(X, y) > 0.95
print("softsign works")
"""


@pytest.mark.slow
def test_diff_adds_an_activation(tmp_path):
    copy = tmp_path / "copy"
    for folder in ("fastmlp", "kernels"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    assert apply(DIFF, copy) == [
        "fastmlp/reference/_activations.py",
        "kernels/activations.py",
        "kernels/tables.py",
    ]
    (copy / "kernels").rename(copy / "fastmlp" / "kernels")  # where pyproject.toml installs it
    environment = os.environ | {"PYTHONPATH": str(copy), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-B", "-c", SOFTSIGN, str(copy)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=1200)
    assert done.stdout == "softsign works\n", done.stderr
    assert "softsign" not in vectorized.ACTIVATIONS
