"""Read names as 16-byte keys, so that millions of them fit into memory."""

import uuid
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

KEY = np.dtype("S16")
"""A key: the bytes of the read's UUID, or of a hash of its name where that is no UUID."""

Keys = npt.NDArray[np.bytes_]

_UUID_LENGTH = 36
_HYPHENS = (8, 13, 18, 23)
_DIGITS = np.array([i for i in range(_UUID_LENGTH) if i not in _HYPHENS])
_NOT_HEX = 255
_HEX = np.full(256, _NOT_HEX, np.uint8)
for _digit, _character in enumerate(b"0123456789abcdef"):
    _HEX[_character] = _digit


def read_keys(names: Sequence[str]) -> tuple[Keys, dict[bytes, str]]:
    """Return the key of each name, and the names that cannot be told from their key.

    Parameters
    ----------
    names
        Read names as the file holds them. A lower-case UUID becomes its own 16 bytes, anything
        else the BLAKE2b hash of its UTF-8 bytes.

    Returns
    -------
    S16, shape ``(len(names),)``; key -> name of those that were hashed.
    """
    keys = np.zeros(len(names), KEY)
    encoded = [name.encode("utf-8", "surrogateescape") for name in names]
    lengths = np.fromiter(map(len, encoded), np.int64, len(names))
    maybe = np.flatnonzero(lengths == _UUID_LENGTH)
    uuids, is_uuid = uuid_keys(np.array([encoded[i] for i in maybe], f"S{_UUID_LENGTH}"))
    keys[maybe[is_uuid]] = uuids[is_uuid]
    hashed = np.ones(len(names), bool)
    hashed[maybe[is_uuid]] = False
    for i in np.flatnonzero(hashed):
        keys[i] = blake2b(encoded[i], digest_size=KEY.itemsize).digest()
    return keys, {keys[i]: names[i] for i in np.flatnonzero(hashed).tolist()}


def uuid_keys(names: npt.NDArray[np.bytes_]) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Return the keys of names that are 36 bytes long, and which of them are UUIDs.

    Parameters
    ----------
    names
        S36, shape ``(n,)``.

    Returns
    -------
    S16 keys, shape ``(n,)`` (meaningless where the name is no UUID); bool, shape ``(n,)``.
    """
    text = np.ascontiguousarray(names).view(np.uint8).reshape(-1, _UUID_LENGTH)
    digits = _HEX[text[:, _DIGITS]]
    is_uuid = (text[:, _HYPHENS] == ord("-")).all(1) & (digits != _NOT_HEX).all(1)
    packed = (digits[:, 0::2] << 4) | (digits[:, 1::2] & 15)
    return np.ascontiguousarray(packed).view(KEY).reshape(-1), is_uuid


def key_name(key: bytes, hashed: Mapping[bytes, str]) -> str:
    """Return the name that a key stands for: from the hashed names, else its UUID."""
    if key in hashed:
        return hashed[key]
    return str(uuid.UUID(bytes=key.ljust(KEY.itemsize, b"\0")))


def hash_keys(keys: Keys, seed: int) -> npt.NDArray[np.uint64]:
    """Return a number per key that depends on the key and the seed alone.

    Parameters
    ----------
    keys
        S16, shape ``(n,)``.
    seed
        Any non-negative integer; another seed gives an unrelated order.

    Returns
    -------
    uint64, shape ``(n,)``, uniform over all 64-bit numbers.

    Notes
    -----
    The finaliser of SplitMix64 (Steele, Lea and Flood 2014), applied to both halves in turn.
    """
    halves = np.ascontiguousarray(keys).view("<u8").reshape(-1, 2)
    mixed = np.full(len(halves), seed % 2**64, np.uint64)
    for half in (0, 1):
        mixed = (mixed ^ halves[:, half]) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed
