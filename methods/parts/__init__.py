"""What methods share: networks, kernels, divergences, companion objectives, refinement, the auto-encoder.

No plug-in is looked for here. The modules of networks are imported, so that a network can be found by its
name wherever one of the parts is used.
"""

from methods.parts import networks, recurrent_networks, vector_networks

__all__ = ["networks", "recurrent_networks", "vector_networks"]
