"""The code of docs/serving.md runs, and many requests at a time get the same answers as one after the other."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

for package in ("fastapi", "httpx2"):
    pytest.importorskip(package)


def test_page(run_page):
    session, compared = run_page("serving.md")
    assert compared == 1
    client, model, X = session["client"], session["model"], session["X"]
    expected = model.predict_proba(X)

    def ask(i):
        return client.post("/predict", json={"rows": X[i : i + 2].tolist()}).json()["probabilities"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(100)))
    for i, answer in enumerate(answers):
        np.testing.assert_array_equal(np.array(answer, np.float32), expected[i : i + 2])
