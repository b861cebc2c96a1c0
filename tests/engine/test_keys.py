"""Read names as 16-byte keys."""

import uuid

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from krill.reads.keys import hash_keys, key_name, read_keys

NAMES = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda u: str(u).upper()),
    st.text(max_size=40),
    st.just("00000000-0000-0000-0000-000000000000"),
)


@given(st.lists(NAMES, unique=True, max_size=20))
def test_different_names_have_different_keys_and_come_back(names: list[str]) -> None:
    keys, hashed = read_keys(names)
    assert len(set(keys.tolist())) == len(names)
    assert [key_name(key, hashed) for key in keys] == names


@given(st.lists(st.uuids(), min_size=2, max_size=10, unique=True))
def test_keys_of_uuids_sort_as_their_bytes(uuids: list[uuid.UUID]) -> None:
    keys, hashed = read_keys([str(u) for u in uuids])
    assert not hashed
    assert [k.ljust(16, b"\0") for k in np.sort(keys).tolist()] == sorted(u.bytes for u in uuids)


def test_hashes_are_uniform_and_depend_on_the_seed() -> None:
    rng = np.random.default_rng(0)
    keys = np.frombuffer(rng.bytes(16 * 20_000), "S16")
    for seed in (0, 1):
        share = np.histogram(hash_keys(keys, seed) / 2**64, bins=10, range=(0, 1))[0] / len(keys)
        assert np.abs(share - 0.1).max() < 0.01
    assert not (hash_keys(keys, 0) == hash_keys(keys, 1)).any()
