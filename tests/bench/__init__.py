"""Speed benchmarks, run by `tox -e bench`."""
