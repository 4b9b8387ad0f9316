"""Finding the native library, and refusing the wrong one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from martlet import LibraryNotFoundError, _abi, _library

CHECK = "import martlet; print(martlet.num_threads())"


def run(program=CHECK, **environment):
    return subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_the_environment_variable_decides(tmp_path):
    copy = tmp_path / _library.FILE_NAME
    shutil.copyfile(_library.path(), copy)
    program = "from martlet import _library; print(_library.path())"
    assert run(program, MARTLET_LIBRARY=str(copy)).stdout.strip() == str(copy)


def test_a_bare_name_is_a_file_of_the_current_directory(tmp_path):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    shutil.copyfile(_library.path(), here / _library.FILE_NAME)
    (elsewhere / _library.FILE_NAME).write_bytes(b"not a library")
    program = "import os; from martlet import _library; paths = _library.candidates(); print(_library.path(), paths)"
    environment = {
        **os.environ,
        "MARTLET_LIBRARY": _library.FILE_NAME,
        "LD_LIBRARY_PATH": str(elsewhere),
        "PYTHONPATH": os.path.dirname(os.path.dirname(_library.__file__)),
    }
    for folder, works in ((here, True), (tmp_path, False)):
        found = subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        expected = str(folder / _library.FILE_NAME)
        if works:
            assert found.stdout.split() == [expected, f"['{expected}']"], found.stderr
        else:
            assert f"{expected}: no such file" in found.stderr


def test_every_path_tried_is_named_with_the_reason(tmp_path, monkeypatch):
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not a library")
    with pytest.raises(LibraryNotFoundError) as caught:
        _library._open([str(tmp_path / "absent.so"), str(broken)])
    words = str(caught.value)
    assert f"{tmp_path / 'absent.so'}: no such file" in words
    assert f"{broken}: " in words
    assert "pip install ./python" in words
    assert isinstance(caught.value, ImportError)


def test_a_wrong_path_in_the_environment_does_not_fall_back(tmp_path):
    found = run(MARTLET_LIBRARY=str(tmp_path / "absent.so"))
    assert found.returncode == 1
    assert "absent.so: no such file" in found.stderr


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("int other;", "is not Martlet's library"),
        ("int martlet_abi_version(void) { return 99; }", "has ABI version 99; this package needs 2"),
        ("int martlet_abi_version(void) { return 2; }", "lacks martlet_version"),
    ],
)
def test_another_library_is_refused(tmp_path, source, words):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "a C compiler is needed"
    path = tmp_path / "other.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)], input=source, text=True, check=True)
    found = run(MARTLET_LIBRARY=str(path))
    assert found.returncode == 1
    assert "LibraryNotFoundError" in found.stderr
    assert words in found.stderr
    assert _abi.ABI_VERSION == 2
