"""One thread for all tests: as the executors make runs, and so that parallel workers do not fight for cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)

# Modules that tests and people run in processes of their own; collecting them for doctests would register their methods
# and data sets for all other tests, or start what they do.
collect_ignore = ["wavering.py", "killed_runs.py", "ray_cluster.py", "example_package", "bench/fuzz_atheris.py"]
