"""The compiled half of krill. Held equal to the module by stubtest."""

import numpy as np
import numpy.typing as npt

__all__ = ["__version__", "decode_svb_zd"]

__version__: str

def decode_svb_zd(data: bytes) -> npt.NDArray[np.int16]:
    """Return the int16 samples of one `svb-zd` compressed signal."""
