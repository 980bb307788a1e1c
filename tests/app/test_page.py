"""The report page in a real browser: it loads nothing else, its pictures are drawn, and nothing sticks out."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from fastmlp.__main__ import main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=10000",
)
# What the page itself reports when it is loaded, written where --dump-dom shows it.
PROBE = """<script>
addEventListener("load", () => {
  const pictures = [...document.images];
  document.body.dataset.probe = [
    pictures.length,
    pictures.filter(p => p.complete && p.naturalWidth > 300).length,
    document.documentElement.scrollWidth - document.documentElement.clientWidth,
    performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:")).length,
  ].join(" ");
});
</script>"""
NAME = "<b>bold</b> & $x^2$ 'quoted' \N{GREEK SMALL LETTER ALPHA}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_ensemble):
    """Return what fit makes of wine with column and class names full of markup."""
    folder = tmp_path_factory.mktemp("page")
    data = load_wine(as_frame=True)
    frame = data.data.rename(columns={"hue": NAME, "ash": "a" * 300})
    frame["<i>class</i>"] = np.array(["<u>one</u>", "two & three", "$four$"])[data.target]
    frame.to_csv(folder / "wine <1>.csv", index=False)
    with small_ensemble():
        args = [str(folder / "wine <1>.csv"), "--target", "<i>class</i>", "--max-iter", "30", "-o", str(folder)]
        assert main(args) == 0
    return folder


def test_page_holds_everything_itself(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "url(" not in page
    assert "<i>class" not in page
    assert "&lt;i&gt;class&lt;/i&gt;" in page
    for word in ("Which model predicts best?", "HistGradientBoosting", "logistic regression", "most frequent class"):
        assert word in page
    assert page.count("<tr") == 2 + 5 + 12


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian package chromium)")
@pytest.mark.parametrize("width", [1200, 500])
def test_page_in_a_browser(folder, tmp_path, width):
    page = (folder / "report.html").read_text(encoding="utf-8")
    probed = tmp_path / "page.html"
    probed.write_text(page.replace("</head>", f"{PROBE}</head>"), encoding="utf-8")
    dom = browse(tmp_path, probed, width, "--dump-dom")
    probe = re.search(r'data-probe="([^"]+)"', dom)
    assert probe, dom[-2000:]
    pictures, drawn, sticking_out, requests = map(int, probe[1].split())
    assert pictures == drawn == 5
    assert sticking_out <= 0
    assert requests == 0
    picture = tmp_path / "page.png"
    browse(tmp_path, folder / "report.html", width, f"--screenshot={picture}")
    pixels = matplotlib.image.imread(picture)[..., :3]
    assert pixels.shape[1] == width
    # A heading, tables and pictures: much light paper, some ink.
    assert 0.01 < np.mean(pixels.mean(axis=2) < 0.5) < 0.3


def browse(tmp_path, page, width, *action):
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},3000", *action]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([*command, Path(page).as_uri()], capture_output=True, timeout=1200, env=environment)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout.decode()


def test_columns_with_markup_predict(folder, capsys):
    """The saved model takes the same names."""
    assert main(["predict", str(folder / "model.skops"), str(folder / "wine <1>.csv")]) == 0
    said = capsys.readouterr()
    assert pd.Series(said.out.splitlines()[1:]).str.startswith(("<u>one</u>,", "two & three,", "$four$,")).all()
