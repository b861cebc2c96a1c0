"""The compiled half of krill. Held equal to the module by stubtest."""

__version__: str
