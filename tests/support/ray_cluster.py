"""A Ray cluster of two nodes on this machine, in processes of their own: prints its address, and kills the second node.

Read from standard input: `kill` kills the processes of the second node; the end of the input ends the cluster.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args=SMALL)
    second = cluster.add_node(**{name: value for name, value in SMALL.items() if name != "include_dashboard"})
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(second, allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()
