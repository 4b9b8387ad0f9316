"""Two threads train one network, each on its part of every batch: batch norms normalise with the statistics of both parts.

python examples/shards.py

The sums go through memory that the threads share. Between processes ``all_reduce`` would be
``lambda sums: torch.distributed.all_reduce(torch.from_numpy(sums))``, or ``comm.Allreduce(MPI.IN_PLACE, sums)`` of mpi4py.
"""

import threading

import numpy as np

from martlet import SGD, BatchNorm, Dense, ReLU, Sequential, Trainer

STEPS = 200
rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, size=(60, 2)).astype(np.float32)
y = (np.hypot(*x.T) < 0.7).astype(np.int64)  # inside or outside a circle


def network():
    return Sequential([Dense(16), BatchNorm(), ReLU(), Dense(2)], input_shape=(2,), seed=1)


def train(net, rows):
    trainer = Trainer(net, optimizer=SGD(learning_rate=0.3))
    for _ in range(STEPS):  # all shards make the same number of steps
        result = trainer.step(x[rows], y[rows])
    return result


class Communicator:
    """Adds up the threads' numbers, in the order of the shards: all get the same bits."""

    def __init__(self, shards):
        self.parts = [None] * shards
        self.barrier = threading.Barrier(shards)

    def of(self, shard):
        def all_reduce(sums):
            self.parts[shard] = sums.copy()
            self.barrier.wait()  # all parts are there
            sums[:] = np.sum(self.parts, axis=0)
            self.barrier.wait()  # all have read them

        return all_reduce


cut = [slice(0, 20), slice(20, 60)]  # shards need not be equal
nets = [network() for _ in cut]
results = [None] * len(cut)
communicator = Communicator(len(cut))


def work(shard):
    try:
        nets[shard].set_all_reduce(communicator.of(shard))
        results[shard] = train(nets[shard], cut[shard])
    except BaseException:
        communicator.barrier.abort()  # or the others would wait for ever: their call fails, too
        raise


threads = [threading.Thread(target=work, args=(shard,)) for shard in range(len(cut))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

whole = network()
result = train(whole, slice(None))


def difference(a, b):
    theirs = b.state_dict()
    return max(float(np.abs(value - theirs[name]).max()) for name, value in a.state_dict().items())


print(f"one batch of {len(x)} rows: loss {result.loss:.6f}, {result.correct} right")
print(f"two shards of it:     loss {results[0].loss:.6f}, {results[0].correct} of {results[0].rows} right")
apart, from_whole = difference(*nets), difference(nets[0], whole)
print(f"after {STEPS} steps the shards differ by {apart:g}, and from the one batch by {from_whole:g} at most")
