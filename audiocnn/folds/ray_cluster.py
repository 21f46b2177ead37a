"""Ray as we use it: a connection, machines and what they have, tasks that run once, the words for how one was lost."""

import os
import socket
from collections.abc import Mapping
from typing import Any

from audiocnn.errors import UserError
from audiocnn.folds import ray_node

_CONNECT = 5.0  # seconds for the head to answer at all


def connected(address: str) -> Any:
    """Ray's module, once it is connected. Raises UserError."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"no Ray cluster answers at {address} ({error}): start its head there with 'ray start --head "
            f"--port={port}', or set engine.kind: local in runtime.yaml."
        ) from None
    import ray

    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, namespace="audiocnn")
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever Ray makes of it
        why = " ".join(str(error).split())[:300]
        token = "is RAY_AUTH_MODE, and the token, what the cluster's are" if "RAY_AUTH_MODE" in os.environ else ""
        token = token or "does the cluster want a token (RAY_AUTH_MODE=token)"
        raise UserError(
            f"the Ray cluster at {address} does not let us in: {token}, are Python and Ray of the same version, and "
            f"has this machine joined it ('ray start --address={address} --num-cpus=0')? Ray says: {why}"
        ) from None
    return ray


class Cluster:
    """Machines, tasks that never run twice by themselves, an actor here."""

    def __init__(self, ray: Any, address: str) -> None:
        from ray import cloudpickle
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.ray, self.address = ray, address
        cloudpickle.register_pickle_by_value(ray_node)  # type: ignore[no-untyped-call]  # no machine has it
        self._here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._task = ray.remote(ray_node.run_fold)

    def mailbox(self) -> Any:
        """A new mailbox on this machine; it ends with us."""
        return self.ray.remote(ray_node.Mailbox).options(num_cpus=0, scheduling_strategy=self._here).remote()

    def nodes(self) -> dict[str, Mapping[str, float]]:
        """The resources of the machines that are up, by node id."""
        return {node["NodeID"]: node["Resources"] for node in self.ray.nodes() if node["Alive"]}

    def start(self, mailbox: Any, order: dict[str, Any], takes: Mapping[str, Any], avoid: set[str]) -> Any:
        """Hands an order out to some machine that is not to be avoided. Returns Ray's reference to how it ends."""
        nowhere = {"label_selector": {"ray.io/node-id": f"!in({','.join(sorted(avoid))})"}} if avoid else {}
        return self._task.options(max_retries=0, **takes, **nowhere).remote(mailbox, order)


def why_lost(error: Exception) -> str:
    """Half a sentence on an error of Ray's."""
    name = type(error).__name__
    known = {
        "NodeDiedError": "the machine died or left",
        "WorkerCrashedError": "its process was killed",
        "OutOfMemoryError": "Ray ended it since the machine's memory was full",
        "TaskCancelledError": "it was cancelled",
        "LocalRayletDiedError": "Ray ended there",
    }
    return known.get(name, f"{name}: {' '.join(str(error).split())[-200:]}")
