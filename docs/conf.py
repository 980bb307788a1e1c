"""Configuration of the documentation site: `python -m sphinx -W docs docs/_build/html`, extra `docs`."""

import importlib
import inspect

import fastmlp

project = "fastmlp"
author = "the fastmlp developers"
copyright = "the fastmlp developers, BSD 3-Clause"
version = release = fastmlp.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
root_doc = "index"
exclude_patterns = ["_build", "examples"]
templates_path = ["_templates"]

# Pages are Markdown that GitHub shows as well. Links to headings use the names that GitHub gives them.
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 3
myst_links_external_new_tab = False


def methods(name: str) -> dict[str, list[str]]:
    """Return the public methods of a class, those that are written here and those that come from elsewhere."""
    module, _, attribute = name.rpartition(".")
    found = {"own": [], "others": []}
    for method, value in inspect.getmembers(getattr(importlib.import_module(module), attribute), callable):
        if not method.startswith("_") and method not in CALLED_BY_OTHERS:
            written_in = getattr(inspect.unwrap(value), "__module__", None) or ""
            found["own" if written_in.startswith("fastmlp") else "others"].append(method)
    return found


autosummary_generate = True
# Methods that skl2onnx and scikit-learn's callbacks call, not users.
CALLED_BY_OTHERS = {"onnx_converter", "after_epoch", "on_fit_task_begin", "on_fit_task_end", "setup", "teardown"}
autosummary_context = {"methods_of": methods}
suppress_warnings = ["config.cache"]  # the function in the line above cannot be cached, so every build is a full one
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # the docstrings name the types
numpydoc_show_class_members = False  # the template of a class lists its methods
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "capture_repr": (),
    "show_signature": False,
    "min_reported_time": 1e9,  # no times: they are those of the machine that built the page
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"fastmlp {release}"
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_static_path = ["_static"]
html_css_files = ["site.css"]
# Pages without sections of their own have no navigation on the left.
html_sidebars = {
    page: [] for page in ("index", "getting_started", "migration", "benchmarks", "differences", "changelog")
}
