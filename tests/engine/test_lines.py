"""Columns become lines of text: numbers as Python's own `.6g`."""

import numpy as np
import pytest

import krill


def test_numbers_are_those_of_python() -> None:
    rng = np.random.default_rng(1)
    every = rng.integers(0, 1 << 64, 50_000, np.uint64).view(np.float64)
    usual = np.concatenate(
        [rng.normal(size=20_000) * 10.0 ** rng.integers(-12, 9, 20_000), rng.random(20_000)]
    )
    ties = np.concatenate([rng.integers(0, 1 << 24, 20_000) / 2, rng.integers(0, 1 << 24, 20_000) / 32])
    edges = 10.0 ** np.arange(-8, 9)
    edges = np.concatenate([np.nextafter(edges, 0), edges, np.nextafter(edges, np.inf), edges * 0.9999995])
    single = np.concatenate([usual, ties]).astype(np.float32)
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, np.finfo(np.float64).max])
    for values in (every, usual, ties, edges, -edges, single, special):
        expected = "".join(("" if value != value else f"{value:.6g}") + "\n" for value in values.tolist())
        assert krill.table_lines([values]).decode() == expected


def test_columns_of_every_kind_make_a_line() -> None:
    columns = [
        np.array(["ctg", "é"]),
        np.array([1, -2], np.int32),
        np.array([b"ACGT", b"A"]),
        np.array([True, False]),
        np.array([0.5, np.nan, 1.25], np.float32)[::2],
    ]
    assert krill.table_lines(columns).decode() == "ctg\t1\tACGT\t1\t0.5\né\t-2\tA\t0\t1.25\n"
    assert krill.table_lines([column[:0] for column in columns]) == b""


def test_columns_that_make_no_table_are_refused() -> None:
    with pytest.raises(ValueError, match=r"columns of \[1, 2\] elements"):
        krill.table_lines([np.zeros(1), np.zeros(2)])
    with pytest.raises(ValueError, match="has no text"):
        krill.table_lines([np.zeros(1, np.complex128)])
