"""The wheel: one for the platform, whole, self-contained, showing the C API and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from conftest import REPOSITORY

import martlet
from martlet import _abi, _library

LIBRARY = f"martlet/_native/{_library.FILE_NAME}"


def pip(*arguments, **environment):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of python/, so that building leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("source") / "python"
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".*_cache", "_native", "tests")
    shutil.copytree(REPOSITORY / "python", folder, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    done = pip("wheel", str(source), "--no-deps", "--no-build-isolation", "-w", str(out), MARTLET_PREBUILT=_library.path())
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.iterdir()
    return path


def test_the_tag_is_any_python_3_on_this_platform(wheel):
    assert re.fullmatch(rf"martlet-{re.escape(martlet.__version__)}-py3-none-(linux|macosx)_\w+\.whl", wheel.name)


def test_it_holds_every_module_the_types_and_the_library_once(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    expected = {
        str(path.relative_to(REPOSITORY / "python"))
        for path in (REPOSITORY / "python" / "martlet").rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }
    assert {name for name in names if name.startswith("martlet/")} == expected | {LIBRARY}
    assert len(names) == len(set(names))
    assert any(name.endswith("/licenses/LICENSE") for name in names)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel's contents, far from the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    done = pip("install", "--no-deps", "--quiet", "--target", str(folder), str(wheel))
    assert done.returncode == 0, done.stderr
    return folder


def test_it_works_without_the_checkout(installed, tmp_path):
    program = "import martlet, martlet._library; print(martlet._library.path(), martlet.batch_norm([[1.0], [3.0]])[1, 0])"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MARTLET_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    path, value = done.stdout.split()
    assert path == str(installed / LIBRARY)
    assert float(value) == pytest.approx(1, abs=1e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files with ldd and nm")
def test_the_library_is_self_contained_and_shows_the_c_api_alone(installed):
    path = str(installed / LIBRARY)
    needed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    assert "libswift" not in needed
    assert "not found" not in needed
    symbols = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    # A small letter is a local symbol, which nobody can link to.
    shown = [line.split()[-1] for line in symbols.splitlines() if line.split()[-2].isupper()]
    assert sorted(shown) == sorted(_abi.FUNCTIONS)
    sections = subprocess.run(["readelf", "-S", path], capture_output=True, text=True, check=True).stdout
    assert ".symtab" not in sections


def test_without_swift_the_error_says_what_to_do(source, tmp_path):
    (source.parent / "Package.swift").touch()
    done = pip("wheel", str(source), "--no-deps", "--no-build-isolation", "-w", str(tmp_path), PATH=str(tmp_path))
    (source.parent / "Package.swift").unlink()
    assert done.returncode == 1
    assert "no swift command was found in PATH" in done.stdout + done.stderr


def test_outside_a_clone_the_error_says_so(source, tmp_path):
    done = pip("wheel", str(source), "--no-deps", "--no-build-isolation", "-w", str(tmp_path))
    assert done.returncode == 1
    assert "holds no Package.swift" in done.stdout + done.stderr
