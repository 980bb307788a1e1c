"""The code of docs/guide.md runs in one session and prints the output that the guide shows."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import matplotlib.pyplot as plt

GUIDE = Path(__file__).parents[1] / "docs" / "guide.md"
FENCE = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def test_guide(tmp_path, monkeypatch):
    (tmp_path / "pictures" / "guide").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    text = GUIDE.read_text(encoding="utf-8")
    session, said, compared = {}, "", 0
    for kind, block in FENCE.findall(text):
        if kind == "text":
            assert said == block
            compared += 1
            continue
        output = StringIO()
        with redirect_stdout(output):
            exec(compile(block, str(GUIDE), "exec"), session)
        said = output.getvalue()
    plt.close("all")
    assert compared > 10

    # The guide draws every picture that it shows, and the repository contains it.
    shown = set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", text))
    drawn = {str(path.relative_to(tmp_path).as_posix()) for path in (tmp_path / "pictures").rglob("*.png")}
    assert shown == drawn
    assert all((GUIDE.parent / name).is_file() for name in shown)


def test_guide_text_contains_no_timings():
    outside_code = FENCE.sub("", GUIDE.read_text(encoding="utf-8"))
    assert not re.search(r"\d\s*(ms|us|µs|seconds|times)\b", outside_code)
