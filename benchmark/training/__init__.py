"""What methods see: base classes, phases of objectives, and the one loop that trains them."""

from benchmark.training.arguments import ClusterParams
from benchmark.training.batches import evaluation_batches
from benchmark.training.deep import DeepClusterer, outcome_of
from benchmark.training.draws import Draws
from benchmark.training.estimator import Clusterer, CollapseWarning
from benchmark.training.loop import run_phase
from benchmark.training.memory import NeedsMemory, require_memory
from benchmark.training.optimisation import build_optimiser, clip_gradients
from benchmark.training.phases import (
    Batch,
    Degenerate,
    Diverged,
    Hook,
    Objective,
    Outcome,
    PhaseResult,
    RunContext,
    Snapshot,
    Terms,
    TrainingPhase,
)
from benchmark.training.resume import Carry
from benchmark.training.samples import as_lengths

__all__ = [
    "Batch",
    "Carry",
    "ClusterParams",
    "Clusterer",
    "CollapseWarning",
    "DeepClusterer",
    "Degenerate",
    "Diverged",
    "Draws",
    "Hook",
    "NeedsMemory",
    "Objective",
    "Outcome",
    "PhaseResult",
    "RunContext",
    "Snapshot",
    "Terms",
    "TrainingPhase",
    "as_lengths",
    "build_optimiser",
    "clip_gradients",
    "evaluation_batches",
    "outcome_of",
    "require_memory",
    "run_phase",
]
