"""Benchmarks of fastmlp, and the report of their results. `python -m bench --help` explains how to run them."""
