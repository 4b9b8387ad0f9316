"""Every example in the documentation runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re

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


#: Options of other libraries that the pages compare with, and placeholders.
_OF_OTHERS = {
    "affine",
    "ceil_mode",
    "center",
    "eps",
    "option",
    "padding_mode",
    "requires_grad",
    "return_inverse",
    "track_running_stats",
    "trainable",
}


def option_names():
    """The parameters of everything in the package."""
    found = set()
    for name in MODULES:
        module = importlib.import_module(name)
        things = [value for value in vars(module).values() if callable(value)]
        for thing in things:
            members = [member for member in vars(thing).values() if callable(member)] if inspect.isclass(thing) else []
            for function in (thing, *members):
                try:
                    found |= set(inspect.signature(function).parameters)
                except (TypeError, ValueError):
                    continue
    return found


def test_every_option_that_the_documentation_names_exists():
    known = option_names() | _OF_OTHERS
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    unknown = {
        (page.name, option)
        for page in pages
        for code in re.findall(r"`([^`\n]+)`", page.read_text())
        for option in re.findall(r"(?<![\w.\"'/-])([a-z_]\w*)=(?!=)", code)
        if option not in known
    }
    assert unknown == set()
