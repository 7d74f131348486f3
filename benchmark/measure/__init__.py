"""Pure formulas on numbers of runs: what they say about a published number."""

from benchmark.measure.judgement import Judgement, enough, judge_runs

__all__ = ["Judgement", "enough", "judge_runs"]
