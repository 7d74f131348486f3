"""The numeric mode of CUDA: set for a fit, read back into its record, put back afterwards; the CPU is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from benchmark.errors import UsageError
from benchmark.training.numeric import WORKSPACE_VARIABLE, mode_now, numeric_mode
from methods.ddc import DDC

TORCH = """
import warnings; warnings.simplefilter("error")
import torch
print(torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision,
      torch.backends.cudnn.rnn.fp32_precision, torch.are_deterministic_algorithms_enabled(),
      torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision())
"""


@pytest.fixture(autouse=True)
def _no_workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(WORKSPACE_VARIABLE, raising=False)
    yield
    os.environ.pop(WORKSPACE_VARIABLE, None)


def switches() -> list[object]:
    backends = torch.backends
    return [
        backends.cuda.matmul.fp32_precision,
        backends.cudnn.conv.fp32_precision,
        backends.cudnn.rnn.fp32_precision,
        torch.are_deterministic_algorithms_enabled(),
        backends.cudnn.deterministic,
        backends.cudnn.benchmark,
    ]


def test_a_fit_on_cuda_computes_in_ieee_float32_and_deterministically_and_all_is_put_back() -> None:
    before = switches()
    with numeric_mode("cuda:1") as mode:
        assert switches() == ["ieee", "ieee", "ieee", True, True, False]
        assert os.environ[WORKSPACE_VARIABLE] == ":4096:8"
    assert switches() == before and mode is not None
    assert mode.plain() == {
        "matmul": "ieee",
        "convolutions": "ieee",
        "recurrent": "ieee",
        "deterministic_algorithms": True,
        "cudnn_deterministic": True,
        "cudnn_benchmark": False,
        "cublas_workspace": ":4096:8",
        "nondeterministic": [],
    }


def test_tf32_is_that_of_convolutions_and_recurrent_layers_alone() -> None:
    with numeric_mode(torch.device("cuda"), "tf32") as mode:
        assert switches()[:3] == ["ieee", "tf32", "tf32"]
    assert mode is not None and (mode.matmul, mode.convolutions, mode.recurrent) == ("ieee", "tf32", "tf32")


def test_what_is_recorded_is_read_from_torch() -> None:
    with numeric_mode("cuda"):
        torch.backends.cudnn.conv.fp32_precision = "tf32"
        torch.backends.cudnn.benchmark = True
        assert (mode_now().convolutions, mode_now().cudnn_benchmark) == ("tf32", True)


def test_a_workspace_that_the_user_has_chosen_stays_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, ":16:8")
    with numeric_mode("cuda") as mode:
        assert mode is not None and mode.cublas_workspace == ":16:8"


def test_operations_that_cannot_be_deterministic_are_listed_and_other_warnings_pass() -> None:
    with pytest.warns(UserWarning) as told, numeric_mode("cuda") as mode:
        for name in ("put_cuda", "histc_cuda", "put_cuda"):
            warnings.warn(f"{name} does not have a deterministic implementation, but you set ...", stacklevel=1)
        warnings.warn("the bark is loose", stacklevel=1)
    assert mode is not None and mode.plain()["nondeterministic"] == ["histc_cuda", "put_cuda"]
    assert [str(one.message) for one in told] == ["the bark is loose"]


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_nothing_is_set_on_other_devices_and_tf32_is_refused_there(device: str) -> None:
    before = switches()
    with numeric_mode(device) as mode:
        assert switches() == before and WORKSPACE_VARIABLE not in os.environ
    assert mode is None
    with (
        pytest.raises(UsageError, match="precision = 'tf32' needs a CUDA device, and this one is"),
        numeric_mode(device, "tf32"),
    ):
        raise AssertionError


def test_an_estimator_refuses_tf32_on_the_cpu_in_one_sentence() -> None:
    x = np.zeros((20, 1, 28, 28), dtype=np.float32)
    with pytest.raises(ValueError, match="needs a CUDA device"):
        DDC(2, precision="tf32", device="cpu").fit(x)


def test_the_switches_that_are_used_raise_no_deprecation_warning() -> None:
    within = "from benchmark.training.numeric import numeric_mode\nwith numeric_mode('cuda', 'tf32'): pass"
    code = f"{TORCH}\n{within}\n{TORCH}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, last = done.stdout.splitlines()
    assert first == last and not done.stderr


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_convolutions_on_a_gpu_are_float32_and_tf32_as_declared() -> None:
    torch.manual_seed(0)
    x, w = torch.randn(8, 32, 20, 20, device="cuda"), torch.randn(32, 32, 5, 5, device="cuda")
    exact = torch.nn.functional.conv2d(x.double(), w.double())

    def error(precision: str) -> float:
        with numeric_mode("cuda", precision):
            found = torch.nn.functional.conv2d(x, w)
        return float((found - exact).abs().max() / exact.abs().max())

    assert error("float32") < 1e-5
    assert error("tf32") > 1e-5 or torch.cuda.get_device_capability()[0] < 8
