"""The code of every other page runs in one session and prints the output that the page shows."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in [*DOCS.glob("*.md"), *DOCS.glob("api/*.md")])
TESTED_ELSEWHERE = {"app.md", "export.md", "guide.md", "losses.md", "scaling.md", "serving.md"}
WITH_CODE = [name for name in PAGES if "```python" in (DOCS / name).read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", [name for name in WITH_CODE if name not in TESTED_ELSEWHERE])
def test_code_runs(page, run_page):
    if page == "training.md":
        pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks since 1.9")
    _, compared = run_page(page, tolerance=0.05)
    outputs = len(re.findall(r"^```text", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE))
    assert compared == outputs


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    text = re.sub(r"^```.*?^```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith(("http://", "https://", "#")):
            assert ((DOCS / page).parent / target.partition("#")[0]).exists(), target
