"""Baleen: which bases of native RNA are modified, in which molecules, how often, how sure.

Compares native nanopore direct-RNA reads with an unmodified control.
"""

from importlib.metadata import PackageNotFoundError, version

from baleen._version import __version__

__all__ = ["__version__"]


def _check_engine() -> None:
    try:
        engine = version("baleen-krill")
    except PackageNotFoundError as error:
        message = (
            f"baleen {__version__} needs its engine, which is not installed; "
            f"install it with: pip install baleen-krill=={__version__}"
        )
        raise ImportError(message) from error
    if engine != __version__:
        message = (
            f"baleen {__version__} needs engine {__version__} but finds {engine}; "
            f"install it with: pip install baleen-krill=={__version__}"
        )
        raise ImportError(message)


_check_engine()
