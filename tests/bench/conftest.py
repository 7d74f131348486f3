"""Speed on one thread, and a summary of what the timings say: ratios within one process, beside their targets.

Timings of different minutes differ by tens of per cent, so the ratios are the results. They inform; no time fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_limits

Timings = Mapping[str, Mapping[str, Any]]
"""By the name of a benchmark: its statistics in seconds, and `extra_info` where it gave any."""


@dataclass(frozen=True)
class Ratio:
    """How many times as long `above` takes as `below`, both names of benchmarks."""

    label: str
    above: str
    below: str
    target: str = ""


AFTER, BEFORE = "test_step[ddc-uco-t]", "test_step[before-pool]"
TUNED = "test_plain_eigh_step_with_tuned_malloc"
USPS = "test_dec_on_usps"

RATIOS = (
    Ratio("step DDC-UCO_T / DDC, taps after the pool", AFTER, "test_step[ddc]", "<= 1.9"),
    Ratio("step DDC-UCO_T / DDC, tap 1 before the pool", BEFORE, "test_step[ddc]", "<= 6.0"),
    Ratio("step DDC plain / channels_last", "test_plain_ddc_step", "test_step[ddc]", ">= 1.2"),
    Ratio("step plain eigh / exact, after the pool", "test_plain_eigh_step[ddc-uco-t]", AFTER, ">= 7"),
    Ratio("step plain eigh / exact, before the pool", "test_plain_eigh_step[before-pool]", BEFORE, ">= 3.7"),
    Ratio("the same with malloc tuned for plain, after", f"{TUNED}[ddc-uco-t]", AFTER, ">= 4"),
    Ratio("the same with malloc tuned for plain, before", f"{TUNED}[before-pool]", BEFORE, ">= 2.8"),
    Ratio("step DDC-UCO_T / DDC, negligible entries left out, after", "test_step[few-pairs]", "test_step[ddc]"),
    Ratio("step DDC-UCO_T / DDC, the same, before", "test_step[few-pairs-before-pool]", "test_step[ddc]"),
    Ratio("step DDC float32 / bf16 convolutions", "test_step[ddc]", "test_step[bf16]"),
    *(
        Ratio(f"kernel plain eigh / exact, {s}", f"test_plain_eigh_distances[{s}]", f"test_tensor_distances[{s}]")
        for s in ("10x10x32", "20x20x32")
    ),
    *(
        Ratio(
            f"{label} / a bare loop",
            f"test_refinement_steps[{what}-suite]",
            f"test_refinement_steps[{what}-bare]",
            "<= 1.1",
        )
        for what, label in (
            ("dec", "steps and target of DEC"),
            ("idec", "steps and target of IDEC"),
            ("pretrain", "steps of pre-training"),
            ("layer", "steps of a denoising layer"),
        )
    ),
    Ratio("DEC / ClustPy's DEC, as large as USPS", f"{USPS}[interval-30]", "test_clustpy_dec_on_usps", "<= 1"),
    Ratio("the same without renewal of targets", f"{USPS}[one-target]", "test_clustpy_dec_on_usps"),
)

LIMITS = (
    ("evaluate_clustering, 70 000 samples, k = 100", "test_evaluate_clustering[100]", "< 5 ms"),
    ("k-means, 20 starts, 70 000 x 10, groups", "test_k_means_of_70000_embeddings[groups]", "< 3000 ms"),
    ("k-means, 20 starts, 70 000 x 10, no groups", "test_k_means_of_70000_embeddings[no-groups]", "< 3000 ms"),
    ("plan of 100 000 runs", "test_plan_of_100_000_runs", "< 5000 ms"),
    ("report of 10 000 records built", "test_report_of_everything", "<= 40 000 ms"),
    ("its start page opens", "test_report_opens[start page]", "<= 500 ms"),
    ("its largest page opens", "test_report_opens[largest page]", "< 2000 ms"),
)
"""Times that are promised, in milliseconds: a label, the name of the benchmark, and the target.

Where another process does the work, its time is `wall` in the benchmark's `extra_info`.
"""

PEAK = "test_matrix_product"
"""The benchmark whose operations per second are the peak that other benchmarks with `flops` are held to."""


@dataclass(frozen=True)
class Line:
    """One line of the summary: its value from medians and from minima (which other work on the machine moves less)."""

    label: str
    median: float
    minimum: float
    unit: str
    target: str


def summary(timings: Timings) -> Iterator[Line]:
    """Yield the lines whose benchmarks were run."""
    for ratio in RATIOS:
        if ratio.above in timings and ratio.below in timings:
            above, below = timings[ratio.above], timings[ratio.below]
            values = (above[kind] / below[kind] for kind in ("median", "min"))
            yield Line(ratio.label, *values, "x", ratio.target)
    if PEAK in timings:
        peak = timings[PEAK]
        for name, timing in timings.items():
            if name != PEAK and "flops" in timing["extra_info"]:
                work = timing["extra_info"]["flops"] / peak["extra_info"]["flops"]
                shares = (100 * work * peak[kind] / timing[kind] for kind in ("median", "min"))
                yield Line(f"share of the matrix-product peak, {name}", *shares, "%", "")
    for label, name, target in LIMITS:
        if name in timings:
            held = timings[name]["extra_info"].get("wall", timings[name])
            yield Line(label, 1e3 * held["median"], 1e3 * held["min"], "ms", target)


lines_key = pytest.StashKey[list[Line]]()


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_benchmark_group_stats(config: pytest.Config, benchmarks: list[dict[str, Any]]) -> Any:
    """Keep the summary of this session's benchmarks; those with a path were loaded for comparison."""
    config.stash[lines_key] = list(summary({b["name"]: b for b in benchmarks if b["path"] is None}))
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Save the summary with the timings."""
    timings = {b["name"]: {**b["stats"], "extra_info": b["extra_info"]} for b in output_json["benchmarks"]}
    output_json["summary"] = [asdict(line) for line in summary(timings)]


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the summary below the tables of timings."""
    lines = config.stash.get(lines_key, [])
    if not lines:
        return
    terminalreporter.section("speed in one process, one thread (targets are information)")
    width = max(len(line.label) for line in lines)
    terminalreporter.write_line(f"{'':{width}}  medians   minima      target")
    for line in lines:
        values = f"{line.median:9.2f}{line.minimum:9.2f} {line.unit:2}"
        terminalreporter.write_line(f"{line.label:{width}}{values}  {line.target}".rstrip())


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)
