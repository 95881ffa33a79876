"""Work behind the caller's back goes one by one, in order, and nothing that goes wrong in it is lost."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from nsdata.importers.behind import Behind


def test_pieces_go_one_by_one_in_order_in_another_thread() -> None:
    behind, done, at_work = Behind("test"), list[int](), threading.Semaphore()

    def work(number: int) -> None:
        assert at_work.acquire(blocking=False), "two at once"
        time.sleep(0.002)
        assert threading.current_thread() is not threading.main_thread()
        done.append(number)
        at_work.release()

    for number in range(20):
        behind.then(partial(work, number))
        assert len(done) >= number  # all before it have ended
    behind.wait()
    assert done == list(range(20))
    behind.end()


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt(), SystemExit(3)])
def test_what_goes_wrong_is_raised_where_the_next_begins(error: BaseException) -> None:
    behind, done = Behind("test"), list[int]()

    def fail() -> None:
        raise error

    behind.then(fail)
    with pytest.raises(type(error)):
        behind.then(lambda: done.append(1))
    assert not done
    behind.end()


def test_the_end_waits_for_what_is_at_work_whatever_comes_of_it() -> None:
    behind, done = Behind("test"), list[int]()

    def work() -> None:
        time.sleep(0.05)
        done.append(1)
        raise ValueError("wrong")

    behind.then(work)
    behind.end()
    assert done == [1]


def test_a_ctrl_c_while_it_waits_counts_once_the_work_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    from nsdata.importers import behind as module

    behind, done, wait = Behind("test"), list[int](), module.wait
    begun = threading.Event()

    def work() -> None:
        begun.wait(5)
        done.append(1)

    def interrupted(pieces: list[object]) -> object:
        if not begun.is_set():
            begun.set()
            raise KeyboardInterrupt
        return wait(pieces)  # type: ignore[arg-type]

    behind.then(work)
    monkeypatch.setattr(module, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        behind.wait()
    assert done == [1]
    behind.end()
