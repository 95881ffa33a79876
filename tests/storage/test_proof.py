"""What is committed was read back from the disk; what a file's commits and head say of it is what the engine wrote."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata.errors import StorageFailed, StoreDamaged
from nsdata.schema import PEOPLE, SEGMENT, VIEW, Schema, part
from nsdata.storage import chunks, commits, engine, proof, space, writing
from nsdata.storage.objects import Objects


def _segment(count: int, seed: int = 0, sizes: tuple[int, int] = (40, 3000)) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    return {
        "id": draw.integers(0, 256, (count, 16), np.uint8),
        "image": [draw.bytes(int(size)) for size in draw.integers(*sizes, count)],
        "label": draw.integers(-1, 10, count, np.int32),
        "split": draw.integers(0, 3, count, np.int8),
        "source": [f"folder/{number:x}.png" for number in draw.integers(0, 1 << 40, count)],
        "width": draw.integers(1, 900, count, np.int32),
        "height": draw.integers(1, 900, count, np.int32),
    }


def _written(url: str, schema: Schema, *batches: dict[str, Any]) -> None:
    with writing.Writer(url, schema) as writer:
        for batch in batches:
            writer.append(batch)
            writer.commit("some")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size and _counts(path))


def _counts(path: Path) -> bool:
    return path.name != "next_base"


# ------------------------------------------------------------------ a commit


@pytest.mark.parametrize("left", [0, 1, -1], ids=["emptied", "one byte left", "one byte short"])
def test_a_file_that_ended_short_is_no_commit(tmp_path: Path, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file that a second commit writes, in turn; the process lives, and what was committed before reads on."""
    for which in range(8):  # seven columns and the commit itself
        url = tmp_path / str(which)
        with writing.Writer(str(url), SEGMENT) as writer:
            writer.append(_segment(9, 1))
            writer.commit("first")
            cut = _Cut(url, set(_files(url)), which, left)
            writer.append(_segment(7, 2))
            with monkeypatch.context() as patch:
                patch.setattr(engine, "sync", cut)
                with pytest.raises(StorageFailed, match="not what was written"):
                    writer.commit("second")
            with pytest.raises(StorageFailed, match="cannot continue"):
                writer.append(_segment(1))


class _Cut:
    """What a full disk does to one of the new files."""

    def __init__(self, url: Path, before: set[Path], which: int, left: int) -> None:
        self.url, self.before, self.which, self.left = url, before, which, left

    def __call__(self, *_: object) -> None:
        new = sorted(set(_files(self.url)) - self.before)
        assert len(new) == 8
        file = new[self.which]
        os.truncate(file, self.left % file.stat().st_size)


def test_rows_that_read_back_as_others_are_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meant = _segment(50)
    for column in SEGMENT:
        other = {**meant, column: meant[column][::-1]}

        def plain(rows: Any, schema: Schema, plain: Callable[..., Any] = proof.plain, other: Any = other) -> Any:
            return plain(other, schema)  # as if the engine had got these

        with writing.Writer(str(tmp_path / column), SEGMENT) as writer:
            with monkeypatch.context() as patch:
                patch.setattr(proof, "plain", plain)
                writer.append(meant)
            writer._held = [proof.plain(meant, SEGMENT)]
            with pytest.raises(StorageFailed, match="not what was written"):
                writer.commit("some")


def test_where_there_is_no_room_nothing_is_handed_to_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = tmp_path / "set"
    with writing.Writer(str(url), SEGMENT) as writer:
        writer.append(_segment(9))
        writer.commit("first")
        before = {path: path.read_bytes() for path in _files(url)}
        with monkeypatch.context() as patch:
            patch.setattr(space, "free", lambda path: 10_000)
            with pytest.raises(StorageFailed, match=r"too full: 10,000 bytes are free; .* needs about"):
                writer.append(_segment(9))
        assert {path: path.read_bytes() for path in _files(url)} == before
        writer.append(_segment(3, 3))  # with room again, the same writer goes on
        writer.commit("more")
    assert len(engine.Reader(str(url), SEGMENT)) == 12


def test_what_fails_half_way_leaves_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), writing.fresh(str(tmp_path / "set"), PEOPLE) as writer:
        writer.append({"id": np.zeros((1, 16), np.uint8), "label": np.zeros(1, np.int32)})
        writer.commit("some")
        raise KeyboardInterrupt
    assert not (tmp_path / "set").exists()


# ------------------------------------------------------------------ what the engine writes

BATCHES: list[tuple[str, Schema, list[dict[str, Any]]]] = [
    ("photographs", SEGMENT, [_segment(300, 1, (30_000, 90_000)), _segment(3, 2)]),
    ("equal sizes", SEGMENT, [_segment(5000, 3, (40, 41)), _segment(1, 4)]),
    ("forgotten", SEGMENT, [{**_segment(4, 5), "image": [b"", b"x" * 70_000, b"", b"y"]}]),
    ("people", PEOPLE, [{"id": np.zeros((3, 16), np.uint8), "label": np.arange(3, dtype=np.int32)}]),
    ("view", VIEW, [{"row": np.arange(300_000)}]),
    *(
        (f"labels {classes} {top}", part(classes, top), [
            {name: np.zeros((rows, spec.width) if spec.width else rows, spec.type)
             for name, spec in part(classes, top).items()}
            for rows in (1, 700)
        ])
        for classes, top in ((10, None), (1000, None), (1000, 10))
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "batches"), [b[1:] for b in BATCHES], ids=[b[0] for b in BATCHES])
def test_commits_tell_files_and_lengths_and_heads_describe_them(
    schema: Schema, batches: list[dict[str, Any]], tmp_path: Path
) -> None:
    """What proof.py and guard.py build on: should a later engine write otherwise, this tells."""
    _written(str(tmp_path / "set"), schema, *batches)
    objects = Objects(str(tmp_path / "set"))
    there = dict(objects.list(""))
    logs = sorted(path for path in there if commits.is_commit(path))
    named = [file for path in logs for file in commits.files(path, objects.get(path) or b"")]
    meant = {file.path: file.bytes for file in named}
    assert meant == {path: size for path, size in there.items() if not path.startswith(commits.LOG)}
    folders = _folders(objects)
    for folder in folders.values():
        assert sum(file.rows for file in named if file.folder == folder) == sum(map(proof.rows, batches))
    assert proof.followed(objects, schema)
    assert folders.keys() == schema.keys()
    assert {path.split("/")[0] for path in meant} == set(folders.values())
    for column, spec in schema.items():
        for path in (path for path in meant if path.startswith(f"{folders[column]}/")):
            assert (chunks.follows(f"{objects.url}/{path}", spec) is not None) == (spec.type != "text")


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_head_is_followed_only_where_it_still_describes_the_file(
    data: st.DataObject, heads: dict[str, tuple[Path, Schema]]
) -> None:
    """Flips, zeros and cuts in the first bytes: what is followed has the rows of before, in the same places."""
    name = data.draw(st.sampled_from(sorted(heads)))
    source, schema = heads[name]
    column = data.draw(st.sampled_from([c for c, spec in schema.items() if spec.type != "text"]))
    objects = Objects(str(source))
    folder = _folders(objects)[column]
    raw = bytearray(next(p for p in sorted((source / folder).rglob("*")) if p.is_file()).read_bytes())
    head = 31 if schema[column].width else 34
    for place in data.draw(st.lists(st.integers(6, head - 1), min_size=1, max_size=3)):
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
    target = source / f"damaged-{os.getpid()}"
    target.write_bytes(raw)
    assert not chunks.follows(str(target), schema[column]) or bytes(raw) == _original(source, folder)
    target.write_bytes(raw[: data.draw(st.integers(0, len(raw) - 1))])
    assert not chunks.follows(str(target), schema[column])
    target.write_bytes(bytes(len(raw)))
    assert not chunks.follows(str(target), schema[column])


def _folders(objects: Objects) -> dict[str, str]:
    logs = [path for path, _ in objects.list("") if commits.is_commit(path)]
    return {k: v for path in logs for k, v in commits.folders(path, objects.get(path) or b"").items()}


def _original(source: Path, folder: str) -> bytes:
    return next(p for p in sorted((source / folder).rglob("*")) if p.is_file()).read_bytes()


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Schema]]:
    made = {}
    for name, schema, batches in BATCHES:
        if name in ("equal sizes", "people", "labels 1000 10"):
            folder = tmp_path_factory.mktemp("heads") / "set"
            _written(str(folder), schema, batches[0])
            made[name] = (folder, schema)
    return made


@pytest.mark.parametrize("raw", [b"", b"\0" * 4, b"\0" * 400, b"\xff" * 400, b"\xff\xff\xff\x7f" + b"\0" * 40])
def test_a_commit_that_is_none_is_damage(raw: bytes) -> None:
    for path in (f"{commits.LOG}_meta/1.jsonl", f"{commits.LOG}x/1.jsonl.lz4"):
        for read in (commits.files, commits.folders):
            with pytest.raises(StoreDamaged):
                read(path, raw)
