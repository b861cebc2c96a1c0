"""Turns: one thread at a time in the interpreter, but for calls of the engine."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

import krill

PATIENCE_S = 30


def beside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_only_one_thread_is_in_its_turn():
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        for _ in range(50):
            with krill.turn():
                inside += 1
                most = max(most, inside)
                np.sort(np.random.default_rng(0).random(5000))  # NumPy lets go of the interpreter's lock
                inside -= 1

    threads = [beside(work) for _ in range(4)]
    for thread in threads:
        thread.join(PATIENCE_S)
    assert most == 1


def test_another_thread_goes_on_during_a_call_of_the_engine():
    had_its_turn = threading.Event()

    def work():
        with krill.turn():
            had_its_turn.set()

    signals = [np.random.default_rng(i).normal(size=200) for i in range(40)]
    with krill.turn():
        other = beside(work)
        for _ in range(5000):
            krill.dtw_pairwise(signals)
            if had_its_turn.is_set():
                break
    other.join(PATIENCE_S)
    assert had_its_turn.is_set()
    assert krill.dtw_pairwise(signals).shape == (780,)


def test_another_thread_goes_on_while_this_one_stands_aside():
    had_its_turn = threading.Event()

    def work():
        with krill.turn():
            had_its_turn.set()

    with krill.turn():
        other = beside(work)
        assert not had_its_turn.wait(0.05)
        with krill.aside():
            assert had_its_turn.wait(PATIENCE_S)
    other.join(PATIENCE_S)


def test_turns_end_with_an_exception_and_engine_calls_that_fail():
    with pytest.raises(ValueError, match="empty"), krill.turn():
        krill.dtw_pairwise([np.zeros(0), np.zeros(1)])
    with pytest.raises(KeyError), krill.turn():
        raise KeyError
    done = threading.Event()

    def work():
        with krill.turn(), krill.aside():
            done.set()

    beside(work).join(PATIENCE_S)
    assert done.is_set()


def test_a_turn_in_a_turn_is_refused_and_aside_without_one_is_nothing():
    with krill.turn(), pytest.raises(RuntimeError, match="already"), krill.turn():
        pass
    with krill.aside(), krill.aside():
        pass
