"""One thread for all tests: as the executors make runs, and so that parallel workers do not fight for cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)
