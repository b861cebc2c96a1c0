"""Baleen: which bases of native RNA are modified, in which molecules, how often, how sure.

Compares native nanopore direct-RNA reads with an unmodified control.
"""

from baleen._version import __version__

__all__ = ["__version__"]


def _check_engine() -> None:
    try:
        from krill import __version__ as engine
    except ImportError as error:
        message = (
            f"baleen {__version__} needs its engine, which is not installed ({error}); "
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
