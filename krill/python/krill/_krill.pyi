"""The compiled half of krill. Held equal to the module by stubtest."""

__all__ = ["__version__"]

__version__: str
