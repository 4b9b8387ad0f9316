"""Builds the native library with SwiftPM and packs it into the wheel. Everything else is in pyproject.toml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

HERE = Path(__file__).resolve().parent
FILE_NAME = "libmartlet.dylib" if sys.platform == "darwin" else "libmartlet.so"


def built_library() -> Path:
    """The release library: ``$MARTLET_PREBUILT`` if set, else built here and now."""
    prebuilt = os.environ.get("MARTLET_PREBUILT")
    if prebuilt:
        return Path(prebuilt)
    root = HERE.parent
    if not (root / "Package.swift").is_file():
        raise SetupError(
            f"Martlet is built from its repository: {root} holds no Package.swift. Run pip install ./python in a clone."
        )
    swift = shutil.which("swift")
    if swift is None:
        raise SetupError(
            "Martlet's library is written in Swift, and no swift command was found in PATH. "
            "Install Swift 6.2 or newer (swift.org/install), or set MARTLET_PREBUILT to a built library."
        )
    try:
        subprocess.run([swift, "build", "-c", "release", "--product", "martlet"], cwd=root, check=True)
    except subprocess.CalledProcessError as error:
        raise SetupError(f"swift build failed with exit code {error.returncode}; its own words are above") from None
    library = root / ".build" / "release" / FILE_NAME
    if not library.is_file():
        raise SetupError(f"swift build left no {library}")
    return library


class BuildWithLibrary(build_py):
    """Adds ``martlet/_native/libmartlet``, stripped; an editable install uses the checkout's own."""

    def run(self) -> None:
        if not self.editable_mode:  # what an older build left there would be packed too
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        library = built_library()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "martlet" / "_native" / FILE_NAME
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library, target)
        strip = shutil.which("strip")
        if strip:
            subprocess.run([strip, "-x" if sys.platform == "darwin" else "--strip-unneeded", str(target)], check=True)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        library = [] if self.editable_mode else [str(Path(self.build_lib) / "martlet" / "_native" / FILE_NAME)]
        return super().get_outputs(include_bytecode) + library


class PlatformWheel(bdist_wheel):
    """One wheel for every Python 3 of a platform: the library is native, the package is not."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class NativeDistribution(Distribution):
    """Tells setuptools that the wheel is of one platform."""

    def has_ext_modules(self) -> bool:
        return True


setup(
    distclass=NativeDistribution,
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel},
)
