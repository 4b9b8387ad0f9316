"""Peak resident memory of training, ours and PyTorch's: ``python -m benchmarks.memory`` (in ``python/``).

Each trains three steps in a fresh process, which says the most memory it ever held; from that its memory before the network and
the first step is taken off for the second figure. PyTorch runs the network of ``tests/peer_networks.py`` with the same
weights, channels last.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

CASES = {"resnet20": ((32, 32, 3), 128), "bn_inception": ((96, 96, 3), 16)}


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _ours(name: str) -> None:
    import numpy as np

    import martlet

    shape, batch = CASES[name]
    x = np.random.default_rng(0).standard_normal((batch, *shape), np.float32)
    labels = np.arange(batch) % 10
    before = _megabytes()
    trainer = martlet.Trainer(martlet.models.build(name, shape), loss="cross_entropy", optimizer=martlet.SGD(0.01))
    for _ in range(3):
        loss = trainer.step(x, labels).loss
    print(json.dumps([_megabytes(), before, loss]))


def _torch(name: str) -> None:
    import numpy as np
    import torch

    import martlet

    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import peer_networks  # type: ignore[import-not-found]

    shape, batch = CASES[name]
    x = np.random.default_rng(0).standard_normal((batch, *shape), np.float32)
    labels = torch.arange(batch) % 10
    peer = peer_networks.Peer(martlet.models.build(name, shape).state_dict(), torch.float32)
    peer.training = True
    parameters = list(peer.parameters.values())
    network = {"resnet20": peer_networks.cifar_resnet(3, False), "bn_inception": peer_networks.bn_inception}[name]
    images = torch.tensor(x)  # channels last in memory; the network sees them channels first
    before = _megabytes()
    optimizer = torch.optim.SGD(parameters, lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(peer, images), labels)
        loss.backward()
        optimizer.step()
    print(json.dumps([_megabytes(), before, loss.item()]))


def main() -> None:
    if len(sys.argv) == 3:
        {"martlet": _ours, "torch": _torch}[sys.argv[1]](sys.argv[2])
        return
    for name, (shape, batch) in CASES.items():
        found = {}
        for library in ("martlet", "torch"):
            run = subprocess.run(
                [sys.executable, "-m", "benchmarks.memory", library, name], check=True, capture_output=True, text=True
            )
            peak, before, loss = found[library] = json.loads(run.stdout.splitlines()[-1])
            size = "×".join(map(str, shape[:2]))
            print(
                f"{name} {size}, batch {batch}: {library:8} peak {peak:6.0f} MB, {peak - before:6.0f} MB of it for "
                f"network and steps (loss of step 3: {loss:.4f})"
            )
        ours, theirs = found["martlet"], found["torch"]
        print(f"  ours / torch: {ours[0] / theirs[0]:.2f}; without what was there before: ", end="")
        print(f"{(ours[0] - ours[1]) / (theirs[0] - theirs[1]):.2f}")


if __name__ == "__main__":
    main()
