"""Benchmarks of fastmlp: what is measured, how, and the report. `python -m bench --help` says how to run them."""
