"""The version of this package, which is that of the library it carries (MARTLET_VERSION in include/martlet.h)."""

__version__ = "0.1.0"
