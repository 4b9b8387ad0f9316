"""Importing the package is light: what it loads is counted, not timed."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, numpy
before = set(sys.modules)
import martlet
print(*sorted(set(sys.modules) - before))
"""


def loaded(program):
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split())


def test_only_light_modules_beyond_numpys():
    heavy = {
        "argparse", "asyncio", "dataclasses", "gzip", "inspect", "json", "logging", "matplotlib", "numpy.testing",
        "numpy.typing", "safetensors", "scipy", "sklearn", "subprocess", "tempfile", "torch", "unittest",
    }  # fmt: skip
    found = loaded(PROGRAM)
    assert not found & heavy
    assert not {name for name in found if name.startswith(("martlet.compare", "martlet.data", "martlet.progress"))}
    assert len({name for name in found if not name.startswith("martlet")}) < 12


def test_importing_does_not_open_the_library():
    program = "import martlet; from martlet import _library; print('open' if _library._loaded else 'closed')"
    assert loaded(program) == {"closed"}


def test_modules_come_on_demand():
    assert "martlet.data" in loaded("import sys, martlet; martlet.data; martlet.compare; print(*sys.modules)")
