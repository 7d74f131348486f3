"""How fast steps are on a card, made eagerly, captured, and in stacks, and whether their bits are equal.

``python -m tests.bench.card_probe steps --out OUT`` measures every way and compares the weights afterwards;
``rivals`` measures many processes with a run each; ``tests/bench/on_a_card.py`` calls both. With ``--device cpu`` both
are done in small.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmark.registry import METHODS, load_plugins
from benchmark.spec import Budget, Protocol
from benchmark.streams import Streams
from benchmark.training import RunContext
from benchmark.training.engines.capture import engine_for
from benchmark.training.engines.lanes import Eager
from benchmark.training.numeric import numeric_mode


@dataclass(frozen=True)
class Size:
    """How much is done: on a card, or in small on a CPU."""

    replicates: tuple[int, ...]
    warm: int
    timed: int
    samples: int
    rivals: int
    rival_seconds: float
    methods: tuple[str, ...]


PROBED = ("ddc", "ddc-uco-n", "ddc-uco-t", "ae-k-means", "acai")
FLAT = ("ae-k-means", "acai")
"""Methods whose images are vectors."""

# So many samples are whole batches of 120 and of 256: all steps are of one kind, and captured before they are timed.
FULL = Size((1, 5, 20), 10, 100, 3_840, 14, 10.0, PROBED)
SMALL = Size((1, 2), 1, 2, 360, 2, 2.0, PROBED)


@dataclass(frozen=True)
class Probed:
    """How fast the steps of so many replicates were made side by side, and the digest of the weights of each after."""

    method: str
    way: str
    precision: str
    replicates: int
    steps_per_second: float
    peak_mib: float
    weights: tuple[str, ...]
    reasons: dict[str, str]


class Fits:
    """Replicates of one method, each about to make its next step."""

    def __init__(self, method: str, replicates: int, samples: int, device: str, captured: bool) -> None:
        self.device = torch.device(device)
        # On the CPU nothing is captured: its engine takes the operations one after another, too.
        self.engine: Any = engine_for(self.device) if captured else Eager()
        self.fits = [_fit(method, number, samples, self.device) for number in range(replicates)]
        self.due = [next(fit) for fit in self.fits]

    def go(self, steps: int) -> float:
        """Make so many steps of each, and return the seconds."""
        self._wait()
        started = time.perf_counter()
        for _ in range(steps):
            for error in self.engine.take(self.due):
                if error is not None:
                    raise error
            self.due = [next(fit) for fit in self.fits]
        self._wait()
        return time.perf_counter() - started

    def weights(self) -> tuple[str, ...]:
        """Return a digest of the weights of each, one after another."""
        return tuple(_digest(step.stepper.phase.model) for step in self.due)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _digest(model: Any) -> str:
    text = hashlib.sha256()
    for value in model.state_dict().values():
        text.update(value.detach().cpu().contiguous().numpy().tobytes())
    return text.hexdigest()[:16]


def _fit(name: str, replicate: int, samples: int, device: Any) -> Iterator[Any]:
    """Return the steps of a fit on images as large as MNIST's, that is evaluated before its first step alone."""
    load_plugins()
    flat = name in FLAT
    x = torch.rand(samples, *((784,) if flat else (1, 28, 28)), generator=torch.Generator().manual_seed(0)) * 2 - 1
    long = {"budget": Budget(unit="steps", amount=10**6), "evaluate_every": 10**6, "keep": "last", "patience": None}
    phases = METHODS[name].default_protocol.phases
    protocol = Protocol(phases={phase: values.model_copy(update=long) for phase, values in phases.items()})
    estimator = METHODS[name](10, **({"pretraining": "end-to-end"} if name == "ae-k-means" else {}))
    steps: Iterator[Any] = estimator.fitting(x.numpy(), run=RunContext(Streams("probe", replicate), protocol, device))
    return steps


def probed(method: str, way: str, replicates: int, device: str, size: Size, precision: str = "float32") -> Probed:
    """Measure one way to make the steps of so many replicates."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    with numeric_mode(device, precision):
        fits = Fits(method, replicates, size.samples, device, way == "captured")
        fits.go(size.warm)
        seconds = fits.go(size.timed)
        peak = torch.cuda.max_memory_allocated(device) / 2**20 if cuda else 0.0
        reasons = dict(getattr(fits.engine, "reasons", {}))
        return Probed(
            method, way, precision, replicates, replicates * size.timed / seconds, peak, fits.weights(), reasons
        )


def probe(out: Path, device: str, size: Size) -> int:
    """Measure every method in every way, print a table, and say whose bits differ; return 1 where any do."""
    found: list[Probed] = []
    for method in size.methods:
        ways = [("eager", r, "float32") for r in _eagerly(size)]
        ways += [("captured", r, "float32") for r in size.replicates]
        if device.startswith("cuda") and method not in FLAT:
            ways += [("captured", size.replicates[-1], "tf32")]
        for way, replicates, precision in ways:
            try:
                found.append(probed(method, way, replicates, device, size, precision))
            except Exception as error:
                print(f"{method}, {way}, R = {replicates}, {precision}: {type(error).__name__}: {error}", flush=True)
                continue
            one = found[-1]
            said = (
                f"{one.steps_per_second:9.1f} | {one.peak_mib:7.0f} | {'; '.join(filter(None, one.reasons.values()))}"
            )
            print(f"| {method:10} | {way:8} | {precision:7} | {replicates:2} | {said} |", flush=True)
            (out / "probe.json").write_text(json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8")
    wrong = [text for method in size.methods for text in differences([p for p in found if p.method == method])]
    expected = len(size.methods) * (len(_eagerly(size)) + len(size.replicates))
    whole = sum(one.precision == "float32" for one in found) == expected
    said = "all bits are equal: repeated, captured, and in stacks" if whole else "not all could be measured"
    print("\n".join([*wrong, *([] if wrong and whole else [said])]), flush=True)
    return int(bool(wrong) or not whole)


def _eagerly(size: Size) -> list[int]:
    """Return how many are made one operation after another: one twice, as it is to be repeatable, and few in turn."""
    return [1, *(r for r in size.replicates if r <= 5)]


def differences(found: Sequence[Probed]) -> Iterator[str]:
    """Say which float32 fits of a method have other weights than the same replicate had where it came first."""
    first: dict[int, tuple[str, Probed]] = {}
    for one in found:
        for replicate, weights in enumerate(one.weights) if one.precision == "float32" else ():
            known, where = first.setdefault(replicate, (weights, one))
            if known != weights:
                yield (
                    f"BITS DIFFER: {one.method}, replicate {replicate}, {one.way} R = {one.replicates} "
                    f"and {where.way} R = {where.replicates}"
                )


def rivals(out: Path, device: str, size: Size) -> int:
    """Measure as many processes as a stack would replace, each with a run in a loop; print their steps per second."""
    found: dict[str, float] = {}
    for method in ("ddc", "ddc-uco-t"):
        command = [sys.executable, "-m", "tests.bench.card_probe", method, "--device", device]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        crew = [subprocess.Popen(command, **pipes) for _ in range(size.rivals)]
        ready = [process.stdout.readline() for process in crew]
        for process in crew if all(ready) else ():
            process.stdin.write("begin\n")
            process.stdin.flush()
        said = [process.communicate()[0].split() for process in crew]
        steps = [float(words[-1]) for words in said if words]
        if len(steps) < size.rivals:
            print(f"{method}: {size.rivals - len(steps)} of {size.rivals} processes gave no number", flush=True)
            return 1
        found[method] = sum(steps)
        print(f"{method}: {size.rivals} processes make {found[method]:.1f} steps per second together", flush=True)
    (out / "rivals.json").write_text(
        json.dumps({"processes": size.rivals, "steps_per_second": found}), encoding="utf-8"
    )
    return 0


def rival(method: str, device: str, size: Size) -> int:
    """Make the steps of one run for some seconds, when all others are ready too, and print how many a second."""
    with numeric_mode(device):
        fits = Fits(method, 1, size.samples, device, captured=False)
        fits.go(size.warm)
        print("ready", flush=True)
        sys.stdin.readline()
        steps, seconds = 0, 0.0
        while seconds < size.rival_seconds:
            seconds += fits.go(size.warm)
            steps += size.warm
    print(steps / seconds)
    return 0


def main() -> int:
    """Measure what is asked for; return 1 where bits differ or something could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", help="steps, rivals, or a method whose run is one of the rivals")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("card"), help="folder for the numbers")
    parser.add_argument("--methods", default=",".join(PROBED), help="those to probe")
    parser.add_argument("--replicates", help="how many are made side by side, as 1,5,20")
    arguments = parser.parse_args()
    size = replace(SMALL if arguments.device == "cpu" else FULL, methods=tuple(arguments.methods.split(",")))
    if arguments.replicates:
        size = replace(size, replicates=tuple(map(int, arguments.replicates.split(","))))
    torch.set_num_threads(1)  # as runs have it
    if arguments.what not in ("steps", "rivals"):
        return rival(arguments.what, arguments.device, size)
    arguments.out.mkdir(parents=True, exist_ok=True)
    return (probe if arguments.what == "steps" else rivals)(arguments.out, arguments.device, size)


if __name__ == "__main__":
    sys.exit(main())
