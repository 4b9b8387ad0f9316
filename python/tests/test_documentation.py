"""Every example in the documentation runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest
from conftest import REPOSITORY

import martlet

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(martlet.__path__, "martlet.") if not module.name.endswith("__main__")
)
PAGES = [page for page in (REPOSITORY / "README.md", REPOSITORY / "python" / "README.md") if page.is_file()]


@pytest.mark.parametrize("name", ["martlet", *MODULES])
def test_docstrings(name):
    threads = martlet.num_threads()
    try:
        assert doctest.testmod(importlib.import_module(name)).failed == 0
    finally:
        martlet.set_num_threads(threads)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_pages(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testfile(str(page), module_relative=False).failed == 0


def public():
    for name in martlet.__all__:
        value = getattr(martlet, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value
            if inspect.isclass(value):
                for member, attribute in vars(value).items():
                    if not member.startswith("_") and (callable(attribute) or isinstance(attribute, property)):
                        yield f"{name}.{member}", attribute


def test_everything_public_is_documented():
    undocumented = [name for name, value in public() if not (inspect.getdoc(value) or "").strip()]
    assert undocumented == []


def test_enough_of_it_runs():
    finder = doctest.DocTestFinder()
    examples = sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name)))
    assert examples > 40
