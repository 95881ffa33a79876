"""A commit that a full disk never lets end is given up; any other is waited for."""

from __future__ import annotations

import _thread
import threading
from pathlib import Path

import pytest

from nsdata.storage import patience, space


def test_what_does_not_end_on_a_full_disk_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SECONDS", 0.01)
    monkeypatch.setattr(space, "is_full", lambda url, least: True)
    release = threading.Event()
    with pytest.raises(patience.Stuck, match="No space left"):
        patience.in_time(str(tmp_path), release.wait)
    release.set()


def test_what_takes_long_on_a_disk_with_room_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SECONDS", 0.01)
    assert patience.in_time(str(tmp_path), lambda: threading.Event().wait(0.2)) is False
    looks = iter([True, True, False] * 100)
    monkeypatch.setattr(space, "is_full", lambda url, least: next(looks))  # full for a moment, again and again
    assert patience.in_time(str(tmp_path), lambda: threading.Event().wait(0.2)) is False


def test_what_goes_wrong_in_it_goes_wrong_here(tmp_path: Path) -> None:
    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        patience.in_time(str(tmp_path), fail)


def test_ctrl_c_counts_once_the_commit_has_ended(tmp_path: Path) -> None:
    done = threading.Event()

    def work() -> None:
        _thread.interrupt_main()
        threading.Event().wait(0.2)
        done.set()

    with pytest.raises(KeyboardInterrupt):
        patience.in_time(str(tmp_path), work)
    assert done.is_set()
