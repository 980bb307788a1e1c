"""The code of docs/guide.md runs in one session and prints the output that the guide shows."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
FENCE = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def test_guide(run_page, tmp_path):
    (tmp_path / "pictures" / "guide").mkdir(parents=True)
    _, compared = run_page("guide.md")
    assert compared > 10

    # The guide draws every picture that it shows, and the repository contains it.
    shown = set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", GUIDE.read_text(encoding="utf-8")))
    drawn = {str(path.relative_to(tmp_path).as_posix()) for path in (tmp_path / "pictures").rglob("*.png")}
    assert shown == drawn
    assert all((GUIDE.parent / name).is_file() for name in shown)


def test_guide_text_contains_no_timings():
    outside_code = FENCE.sub("", GUIDE.read_text(encoding="utf-8"))
    assert not re.search(r"\d\s*(ms|us|µs|seconds|times)\b", outside_code)
