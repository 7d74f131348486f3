"""The figures of dtkc2019 that are no declared ones: computed from closed forms, and drawings of our own."""

from __future__ import annotations

from paper_tables.dtkc2019 import densities, drawings, networks_drawn, patch_pairs, toys

FIGURES = (
    *toys.FIGURES,
    *densities.FIGURES,
    *drawings.FIGURES,
    *networks_drawn.FIGURES,
    *patch_pairs.FIGURES,
)
