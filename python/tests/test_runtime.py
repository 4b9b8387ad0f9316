"""Worker threads as the host process sees them: none awake when idle, none missing after fork, none too many."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

#: A network whose steps are shared out among threads. Each test has a process of its own, with no threads of other tests.
START = """
import hashlib, os, resource, signal, threading, time
import numpy as np


def tasks():
    return len(os.listdir("/proc/self/task"))


without = tasks()  # this thread, and NumPy's own
import martlet

martlet.set_num_threads(3)
x = np.random.default_rng(5).normal(size=(600, 300)).astype(np.float32)
labels = np.arange(600) % 10


def trained(steps=15):
    layers = [layer for _ in range(2) for layer in (martlet.Dense(200), martlet.BatchNorm(), martlet.ReLU())]
    net = martlet.Sequential([*layers, martlet.Dense(10)], input_shape=(300,), seed=3)
    trainer = martlet.Trainer(net, optimizer=martlet.Adam(0.01))
    for _ in range(steps):
        trainer.step(x, labels)
    digest = hashlib.sha256()
    for value in net.state_dict().values():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


alone = trained()
assert tasks() == without + 2, f"{tasks()} threads: the tests below prove nothing unless 2 workers run"
"""


def run(program):
    done = subprocess.run([sys.executable, "-c", START + program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


def test_an_idle_process_uses_no_processor():
    """Workers that watched for work all the time would use two seconds here; that polled each millisecond, 2000 switches."""
    milliseconds, switches = run("""
time.sleep(0.2)
before = resource.getrusage(resource.RUSAGE_SELF)
time.sleep(1)
after = resource.getrusage(resource.RUSAGE_SELF)
print(round(1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)))
print(after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw)
""")
    assert int(milliseconds) <= 50
    assert int(switches) <= 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_child_of_fork_computes_the_same_and_so_does_the_parent():
    assert run("""
import warnings

warnings.simplefilter("ignore")  # Python 3.12 warns of every fork beside threads
for _ in range(3):
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that waits for threads it does not have
        os._exit(0 if trained() == alone and tasks() == 3 else 1)
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the child ended with {status}"
    assert trained() == alone
print("done")
""") == ["done"]


def test_two_trainers_share_the_workers_and_keep_their_bits():
    """Two Python threads: the workers wanted are the process's, not each caller's."""
    extra, *bits = run("""
found = [None, None]


def work(index):
    found[index] = trained(steps=60)


alone = trained(steps=60)
callers = [threading.Thread(target=work, args=(index,)) for index in range(2)]
for caller in callers:
    caller.start()
most = 0
while any(caller.is_alive() for caller in callers):
    most = max(most, tasks())
    time.sleep(0.002)
for caller in callers:
    caller.join()
print(most - without - len(callers), *(digest == alone for digest in found))
""")
    assert int(extra) == 2
    assert bits == ["True", "True"]
