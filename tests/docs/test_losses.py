"""The code of docs/losses.md runs in one session and prints the output that the page shows."""

import re
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from fastmlp import MLPRegressor
from fastmlp.estimators._regressor import LINKS

PAGE = (Path(__file__).parents[2] / "docs" / "losses.md").read_text(encoding="utf-8")
FENCE = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def test_page():
    session, printed, compared = {}, "", 0
    for kind, block in FENCE.findall(PAGE):
        if kind == "text":
            assert printed == block
            compared += 1
            continue
        output = StringIO()
        with redirect_stdout(output), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")
            exec(compile(block, "losses.md", "exec"), session)
        printed = output.getvalue()
    assert compared == 7


def test_every_loss_is_described():
    for loss in (*LINKS, "log_loss", "focal"):
        assert f"| `'{loss}'` |" in PAGE
    for parameter in ("huber_delta", "quantile", "power", "focal_gamma", "label_smoothing", "class_weight"):
        assert f"`{parameter}" in PAGE
    assert set(LINKS) == MLPRegressor._parameter_constraints["loss"][0].options
