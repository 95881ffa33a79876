"""Disks that refuse, and what lies on them: full, read-only, failing, moved away, without hard links, odd files."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, Mount, fill

from nsdata import Store
from nsdata.errors import NsdataError, StorageFailed, StoreDamaged
from nsdata.exporters.formats import ExportRow, export
from nsdata.maintenance.disk import is_stray
from nsdata.schema import PEOPLE
from nsdata.storage import durable, engine, local, locks, space, writing
from nsdata.storage.objects import Objects
from nsdata.storage.space import free, need, refused


@pytest.fixture
def promptly() -> Iterator[None]:
    """Whatever waits for ever ends the test."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def names(folder: Path) -> list[str]:
    """What lies in a folder and its folders, whatever it is."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def child(code: str, *arguments: str | Path) -> str:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "NSDATA_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---------------------------------------------------------------- what there is room for


def test_what_is_free_is_known_of_disks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.statvfs(tmp_path)
    assert abs((free(tmp_path / "not" / "there" / "yet") or 0) - found.f_bavail * found.f_frsize) < 1 << 30
    assert free("s3://bucket/lake") is None and free("mem://lake") is None
    need("s3://bucket/lake", 1 << 80, "importing photos")
    need("mem://lake", 1 << 80, "importing photos")
    need(tmp_path, 0, "importing photos")
    with pytest.raises(
        StorageFailed, match=r"^The disk that holds .*lake \(mounted at /.*\) is too full: [\d,]+ bytes are free; "
    ) as no:
        need(str(tmp_path / "lake"), 1 << 60, "importing photos")
    assert re.search(r"importing photos needs about 1,210,567,579,[\d,]+\. Nothing was", str(no.value))
    assert no.value.hint == f"df -h {tmp_path}" and not (tmp_path / "lake").exists()
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result([4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255]))
    assert free(tmp_path) is None  # some disks say noughts of themselves
    need(tmp_path, 1 << 60, "importing photos")


def test_a_small_disk_is_found_too_small(mount: Mount) -> None:
    small = mount("tmpfs", "size=4m")
    assert free(small) == 4 << 20 and space.mounted_at(str(small / "a" / "b")) == str(small)
    need(small, 2 << 20, "this")
    with pytest.raises(
        StorageFailed, match=rf"\(mounted at {small}\) is too full: 4,194,304 bytes are free; this needs"
    ):
        need(small, 3 << 20, "this")  # there is room for it, and none to spare


# ---------------------------------------------------------------- what is said


@pytest.mark.parametrize("closed", ["lake", "lake/images", "lake/images/file"])
def test_what_may_not_be_read_is_named(closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, file = tmp_path / "lake", tmp_path / "lake" / "images" / "file"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path / closed))
    failed = refused(lake, PermissionError(errno.EACCES, "Permission denied", str(file)))
    assert failed.message == f"No permission to read {tmp_path / closed}."
    assert failed.hint == f"ls -ld {tmp_path / closed}"


@pytest.mark.parametrize(
    ("code", "said", "hint"),
    [
        (
            errno.ENOSPC,
            r"^The disk that holds {lake} \(mounted at /.*\) is full: [\d,]+ bytes are free; about 4,096 are",
            "df",
        ),
        (
            errno.EDQUOT,
            r"^Your quota is used up on the disk that holds {lake} \(mounted at .*; about 4,096 are ne",
            "quota",
        ),
        (errno.EFBIG, r"^A file of {lake} would grow larger than the disk that holds", "another disk"),
        (errno.EIO, r"^The disk that holds {lake} .* an input/output error: a failing disk, not a full one", "dmesg"),
        (errno.EROFS, r"^{lake} is on a read-only disk \(mounted at /", "Looking works"),
        (errno.EMFILE, r"too many open files: [\d,]+ are allowed", "ulimit -n"),
        (errno.ENFILE, r"machine has too many open files", "file-nr"),
        (errno.EAGAIN, r"no more threads or processes", "ulimit -u"),
        (errno.EACCES, r"^No permission to write or read in {lake}", "ls -ld"),
        (errno.EPERM, r"^No permission to write or read in {lake}", "ls -ld"),
        (errno.ENOENT, r"^{lake} is not there any more: the store was moved or deleted", "ls "),
        (errno.ESTALE, r"^The disk that holds {lake} .*network disk", "ls "),
        (errno.ENAMETOOLONG, r"^A name below {lake} is longer", "shorter"),
        (errno.ENOTSUP, r"^The storage at {lake} failed: ", ""),
    ],
)
def test_each_refusal_says_what_it_is(code: int, said: str, hint: str, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    words = os.strerror(code)
    errors: list[Exception] = [OSError(code, words), RuntimeError(f"Generic error: x (os error {code})")]
    if hint:
        errors.append(RuntimeError(f"filesystem error: cannot create directories: {words} [{lake}/a]"))
        errors.append(OSError(f"[Errno {code}] {words}: 'x'"))
    for error in errors:
        failed = refused(lake, error, 4096)
        assert re.search(said.format(lake=lake), failed.message), failed.message
        assert hint in failed.hint


def test_what_a_folder_is_called_says_nothing(tmp_path: Path) -> None:
    lake = str(tmp_path / "Permission denied, too many open files")
    assert refused(lake, RuntimeError(f"cannot read {lake}")).message.startswith(f"The storage at {lake} failed")
    assert not space.failing(lake, RuntimeError(f"cannot read {lake}"))
    assert refused("mem://No space left on device", RuntimeError("odd\nmore")).message.endswith("failed: odd")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("mine")
    for act in (lambda o: o.put_new("log/1", b""), lambda o: o.put("log/1", b""), lambda o: o.writable()):
        with pytest.raises(StorageFailed, match=rf"^{tmp_path}/lake is a file; a folder is needed there"):
            act(Objects(str(tmp_path / "lake")))
    assert Objects(str(tmp_path / "lake")).get("log/1") is None and Objects(str(tmp_path / "lake")).list("") == []
    (tmp_path / "sea" / "log" / "1").mkdir(parents=True)
    with pytest.raises(StorageFailed, match=r"log/1 is a folder; a file is needed there"):
        Objects(str(tmp_path / "sea")).put("log/1", b"")
    assert names(tmp_path) == ["lake", "sea", "sea/log", "sea/log/1"]


def test_an_engine_at_a_loss_on_a_full_disk_is_understood(mount: Mount) -> None:
    small = mount("tmpfs", "size=256k")
    odd = RuntimeError("Invalid CAS counter: empty")  # as the engine says it there
    assert "is full: 262,144 bytes are free" in refused(small, odd).message
    assert "CAS" in refused(small, odd, writing=False).message and not space.failing(str(small), odd)
    roomy = mount("tmpfs", "size=16m")
    assert "CAS" in refused(roomy, odd).message
    crowded = mount("tmpfs", "size=16m,nr_inodes=3")
    (crowded / "1").touch()
    (crowded / "2").touch()
    for error in (odd, OSError(errno.ENOSPC, "No space left on device")):
        failed = refused(crowded, error)
        assert failed.message.endswith("is full: it takes no further file.") and failed.hint == f"df -i {crowded}"
        assert space.is_full(crowded, 0)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("filesystem error: cannot open directory: Too many open files [{lake}/_deeplake_log]", "too many open files"),
        ("filesystem error: read: Input/output error [{lake}/a]", "a failing disk"),
        ("filesystem error: cannot open file: Permission denied [{lake}/a]", "No permission"),
        ("Unable to open file: Stale file handle (os error 116)", "mount it again"),
    ],
)
def test_what_the_machine_is_in_is_not_called_damage(error: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=said), engine._translated(str(tmp_path), "read"):
        raise RuntimeError(error.format(lake=tmp_path))
    for damage in ("Unexpected token at 7", "No such file or directory", "is a directory: Is a directory"):
        with pytest.raises(StoreDamaged), engine._translated(str(tmp_path), "read"):
            raise RuntimeError(damage)


def test_without_a_file_left_to_open_nothing_is_called_damaged() -> None:
    said = child(
        """
        import os, resource
        from nsdata.storage import engine, space as disk
        from nsdata.errors import NsdataError
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        def look(verb):
            try:
                with engine._translated("/", verb):
                    raise IndexError("Index 1 is out of range")  # as the engine says it then
            except NsdataError as error:
                print(error.message)

        look("read")
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            look("read")
            look("write")
        """
    ).splitlines()
    assert "damaged" in said[0] and said[1:] == ["This process has too many open files: 64 are allowed."] * 2


# ---------------------------------------------------------------- written whole, or not at all


def test_a_file_is_durable_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def noted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            first = arguments[0]
            place = os.readlink(f"/dev/fd/{first}") if isinstance(first, int) else str(first)
            place = place.partition("#")[0] + "#" * ("#" in place)
            done.append(f"{name} {os.path.relpath(place, tmp_path)}")
            return real(*arguments)

        return call

    for name in ("fsync", "link", "replace", "unlink", "mkdir"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    objects = Objects(str(tmp_path / "lake"))
    assert objects.put_new("log/1", b"x")
    made = done[: done.index("fsync lake/log/1#")]
    assert [step for step in made if step.startswith("mkdir")] == ["mkdir lake", "mkdir lake/log"]
    assert made.index("fsync .") > made.index("mkdir lake") and made[-1].startswith("fsync")
    assert made.index("fsync lake", made.index("mkdir lake/log")) > made.index("mkdir lake/log")
    assert done[len(made) :] == ["fsync lake/log/1#", "link lake/log/1#", "unlink lake/log/1#", "fsync lake/log"]
    done.clear()
    objects.put("log/1", b"y")
    assert done == ["fsync lake/log/1#", "replace lake/log/1#", "unlink lake/log/1#", "fsync lake/log"]
    done.clear()
    (tmp_path / "lake" / "images" / "a").mkdir(parents=True)  # by somebody else, who fsynced nothing
    done.clear()
    objects.put("images/a/x", b"")
    assert done[:2] == ["fsync lake/images", "fsync lake"]


@pytest.mark.parametrize("linking", [True, False])
def test_of_two_racers_one_is_first(linking: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not linking:
        _without_links(monkeypatch)
    lake, gate, won = str(tmp_path / "lake"), threading.Barrier(2), list[tuple[int, int]]()

    def race(me: int) -> None:
        objects = Objects(lake)
        for turn in range(200):
            gate.wait()
            if objects.put_new(f"log/{turn}", b"%d" % me * 3000):
                won.append((turn, me))

    racers = [threading.Thread(target=race, args=(me,)) for me in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(turn for turn, _ in won) == list(range(200))
    assert all(Objects(lake).get(f"log/{turn}") == b"%d" % me * 3000 for turn, me in won)
    assert len(os.listdir(f"{lake}/log")) == 200


def _without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("kind", ["vfat", "exfat"])
def test_on_a_disk_without_hard_links_the_first_one_wins_as_well(kind: str, mount: Mount) -> None:
    place = mount(kind)
    with pytest.raises(PermissionError):
        (place / "a").touch()
        os.link(place / "a", place / "b")
    objects = Objects(str(place / "lake"))
    assert objects.put_new("log/1", b"mine") and not objects.put_new("log/1", b"theirs")
    assert not local._renamed(str(place / "a"), str(place / "lake" / "log" / "1"))
    assert objects.get("log/1") == b"mine" and names(place / "lake") == ["log", "log/1"]


def test_a_disk_that_cannot_decide_who_comes_first_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_links(monkeypatch)

    class Libc:
        """A system that knows no such rename."""

    monkeypatch.setattr(ctypes, "CDLL", lambda *arguments, **options: Libc())
    with pytest.raises(
        StorageFailed, match="cannot decide who comes first: it has neither hard links nor a rename"
    ) as no:
        Store.create(tmp_path / "lake", CLASSES)
    assert "ext4, xfs, btrfs or apfs" in str(no.value)
    assert not [path for path in (tmp_path / "lake").rglob("*") if path.is_file()]


def test_exfat_as_some_systems_mount_it_cannot_decide(mount: Mount) -> None:
    place = mount("exfat-fuse")
    with pytest.raises(StorageFailed, match=rf"^The disk mounted at {place} cannot decide who comes first"):
        Store.create(place / "lake", CLASSES)
    assert not [path for path in place.rglob("*") if path.is_file()]
    Objects(str(place)).put("x", b"replaced or not, it is whole")  # that needs neither
    assert names(place) == ["lake", "lake/log", "x"]


def test_an_answer_lost_on_a_network_disk_is_no_defeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def twice(old: str, new: str) -> None:
        real(old, new)
        real(old, new)

    monkeypatch.setattr(os, "link", twice)
    assert Objects(str(tmp_path / "lake")).put_new("x", b"")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG])
@pytest.mark.parametrize("call", ["write", "fsync", "link", "replace", "open", "mkdir"])
def test_a_write_that_failed_leaves_nothing(
    call: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, real = Objects(str(tmp_path / "lake")), getattr(os, call)
    objects.put("log/HEAD", b"old")

    def refuse(first: object, *arguments: object, **options: object) -> object:
        if call == "fsync" and os.path.isdir(f"/dev/fd/{first}"):
            return real(first, *arguments, **options)
        if call == "write" and len(arguments[0]) == 3000:  # type: ignore[arg-type]
            return real(first, arguments[0][:1000])  # type: ignore[index]
        if call == "open" and not arguments[0] & os.O_CREAT:  # type: ignore[operator]
            return real(first, *arguments, **options)
        raise OSError(code, os.strerror(code), str(first))

    monkeypatch.setattr(os, call, refuse)
    if call not in ("replace", "mkdir"):
        with pytest.raises(StorageFailed):
            objects.put_new("log/1", bytes(3000))
    if call not in ("link", "mkdir"):
        with pytest.raises(StorageFailed):
            objects.put("log/HEAD", bytes(3000))
    if call not in ("replace",):
        with pytest.raises(StorageFailed) as failed:
            objects.put_new("new/folder/1", bytes(3000))
        assert failed.value.__cause__.errno == code  # type: ignore[union-attr]
    monkeypatch.undo()
    assert not [path for path in names(tmp_path) if path.endswith("1") or is_stray(path)]
    assert objects.get("log/HEAD") == b"old"


def test_what_a_disk_does_not_confirm_is_said_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects, real = Objects(str(tmp_path)), os.fsync
    objects.put("x", b"")

    def refuse(descriptor: int) -> None:
        if os.path.isdir(f"/dev/fd/{descriptor}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageFailed, match="y was written, but its disk did not confirm it"):
        objects.put_new("y", b"whole")
    assert objects.get("y") == b"whole" and names(tmp_path) == ["x", "y"]


def test_a_write_that_ends_short_unnoticed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:-1]) + 1)  # a disk that lies
    for write in (Objects(str(tmp_path)).put_new, Objects(str(tmp_path)).put):
        with pytest.raises(StorageFailed, match="x has 9 bytes; 10 were written"):
            write("x", b"0123456789")
    monkeypatch.setattr(os, "write", lambda descriptor, data: 0)
    with pytest.raises(StorageFailed, match="x has 0 bytes; 10 were written"):
        Objects(str(tmp_path)).put_new("x", b"0123456789")
    assert names(tmp_path) == []


def test_on_a_full_disk_nothing_has_the_name(mount: Mount) -> None:
    small = mount("tmpfs", "size=256k")
    objects = Objects(str(small / "lake"))
    assert objects.put_new("log/1", b"x") and objects.put_new("log/2", b"x")
    fill(small, leave=20000)
    for write in (objects.put_new, objects.put):
        with pytest.raises(StorageFailed, match=rf"\(mounted at {small}\) is full: [\d,]+ bytes are free"):
            write("log/3", bytes(100_000))
    assert not objects.put_new("log/1", bytes(100_000))  # who comes second is told so, also now
    assert names(small / "lake") == ["log", "log/1", "log/2"] and objects.put_new("log/3", b"x")


def test_on_a_full_ext4_nothing_has_the_name(mount: Mount) -> None:
    place = mount("ext4")
    objects = Objects(str(place / "lake"))
    assert objects.put_new("log/1", b"x")
    fill(place)
    fill(place / "lake")
    refusals = 0
    for turn in range(2, 200):
        try:
            assert objects.put_new(f"log/{turn}", bytes(8192))
        except StorageFailed as failed:
            refusals += 1
            assert "is full" in failed.message
            assert objects.stat(f"log/{turn}") is None
    assert refusals and not [name for name in names(place) if is_stray(name)]


def test_a_limit_on_the_size_of_files_is_said(tmp_path: Path) -> None:
    said = child(
        """
        import resource, sys
        from nsdata.errors import StorageFailed
        from nsdata.storage.objects import Objects
        objects = Objects(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        for write in (objects.put_new, objects.put):
            try:
                write("log/1", bytes(1500))
            except StorageFailed as error:
                print(error.message, error.hint)
        """,
        tmp_path,
    )
    assert said.count("would grow larger than this process may write: 1,000 bytes. ulimit -f") == 2
    assert names(tmp_path) == ["log"]


def test_what_ended_short_where_files_may_not_grow_is_said_to_be_that(tmp_path: Path) -> None:
    said = child(
        """
        import resource, sys
        from nsdata.storage import space
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        print(space.refused(sys.argv[1], space.short(sys.argv[1] + "/1", 1000, 1500)).message)
        """,
        tmp_path,
    )
    assert "would grow larger than this process may write: 1,000 bytes" in said


def test_a_store_that_moves_while_it_is_written_is_said_to_have_moved(tmp_path: Path) -> None:
    """Though the storage engine goes on to write where it was."""
    store = Store.create(tmp_path / "lake", CLASSES)
    (tmp_path / "lake").rename(tmp_path / "elsewhere")
    (tmp_path / "lake" / "images").mkdir(parents=True)
    with pytest.raises(StorageFailed, match=r"lake/log is not there any more: the store was moved, or its log deleted"):
        store.tag("x")


def test_a_writer_that_is_killed_leaves_a_stray_at_most(tmp_path: Path) -> None:
    code = "import sys; from nsdata.storage.objects import Objects; o = Objects(sys.argv[1]); i = 0\n"
    code += "while True: i += 1; o.put_new(f'log/{i}', b'x' * 5000); o.put('log/HEAD', b'y' * 5000); print(flush=True)"
    objects = Objects(str(tmp_path))
    for turn in range(5):
        with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            threading.Event().wait(0.05 + turn * 0.013)
            process.kill()
        assert {size for _, size in objects.list("log")} == {5000}
    assert all(is_stray(name) or objects.stat(name) == 5000 for name in names(tmp_path) if name != "log")


# ---------------------------------------------------------------- moved away, read-only


def test_a_store_that_was_moved_away_is_said_to_be_gone(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", CLASSES)
    (tmp_path / "lake").rename(tmp_path / "sea")
    for act in (
        lambda: store.objects.writable(),
        lambda: store.objects.put_new("log/0000000002.json", b""),
        lambda: store.objects.put("labels/x/run.json", b""),
        lambda: store.tag("now"),
    ):
        with pytest.raises(NsdataError) as gone:
            act()
        assert f"{tmp_path}/lake is not there any more: the store was moved or deleted." in gone.value.message
        assert gone.value.hint == f"ls {tmp_path}"
    assert not (tmp_path / "lake").exists()  # a store is not begun again where one was
    failed = refused(f"{store.url}/images/x-1", RuntimeError("Dataset does not exist"))
    assert failed.message.startswith(f"{tmp_path}/lake is not there any more")
    shutil.rmtree(tmp_path / "sea" / "log")
    with pytest.raises(StorageFailed, match=rf"{tmp_path}/sea/log is not there any more: .* or its log deleted"):
        Objects(str(tmp_path / "sea")).writable()


def test_a_store_on_a_disk_that_is_not_mounted_is_said_to_be_gone(tmp_path: Path) -> None:
    os.symlink(tmp_path / "not mounted" / "lake", tmp_path / "lake")
    with pytest.raises(StorageFailed, match=rf"{tmp_path}/lake is not there any more"):
        Objects(str(tmp_path / "lake")).writable()


def test_a_read_only_disk_is_said_to_be_one(mount: Mount) -> None:
    place = mount("tmpfs", "size=64m")
    store = Store.create(place / "lake", CLASSES)
    store.add_arrays(np.zeros((1, 8, 8), np.uint8), np.zeros(1, np.int32))
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    for act in (
        lambda: store.objects.writable(),
        lambda: store.objects.put_new("log/0000000009.json", b""),
        lambda: store.objects.put("log/HEAD", b""),
        lambda: store.tag("now"),
        lambda: writing.Writer(f"{store.url}/people/x", PEOPLE),
        lambda: locks.lock(store.url, "x").__enter__(),
        lambda: export([], place / "out.csv"),
        lambda: run_folder().held(place / "run").__enter__(),
    ):
        with pytest.raises(StorageFailed, match=rf"is on a read-only disk \(mounted at {place}\)"):
            act()
    assert len(Store.open(place / "lake")) == 1


# ---------------------------------------------------------------- what lies there


def _odd(folder: Path) -> list[str]:
    """All that can lie where a file should, each under its name."""
    outside = folder.parent / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "secret").write_text("secret")
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    os.symlink(outside / "secret", folder / "link")
    os.symlink("nowhere", folder / "dangling")
    os.symlink("circle", folder / "circle")
    os.symlink(outside, folder / "away")
    with socket.socket(socket.AF_UNIX) as here:
        here.bind(os.path.relpath(folder / "socket"))
    odd = ["pipe", "link", "dangling", "circle", "away", "socket"]
    if os.geteuid() == 0:
        try:
            os.mknod(folder / "device", 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
            odd.append("device")
        except PermissionError:
            pass
    return odd


def test_what_is_no_file_is_neither_waited_for_nor_followed(tmp_path: Path, promptly: None) -> None:
    odd = _odd(tmp_path / "log")
    (tmp_path / "log" / "file").write_bytes(b"data")
    (tmp_path / "log" / "folder" / "file").write_bytes(b"data!")
    for stray in ("file#1", "file#123456789012", "folder/x#7"):
        (tmp_path / "log" / stray).write_bytes(b"half")
    (tmp_path / "log" / "a#b").touch()
    with open(os.fsencode(tmp_path) + b"/log/\xff", "wb"):
        pass
    objects = Objects(str(tmp_path))
    for name in [*odd, "folder"]:
        for look in (objects.get, objects.stat, objects.hashed):
            with pytest.raises(StoreDamaged, match=rf"log/{name} is not a regular file"):
                look(f"log/{name}")
    usual = {("log/file", 4), ("log/folder/file", 5), ("log/a#b", 0)}
    assert set(objects.list("log")) == usual | {(f"log/{name}", -1) for name in [*odd, r"\udcff"]}
    assert set(objects.list("")) - {("outside/secret", 6)} == set(objects.list("log"))
    assert objects.list("nowhere") == [] and objects.list("log/file") == []
    for name in odd:
        assert not objects.put_new(f"log/{name}", b"mine")  # somebody was first, whatever he put there
        objects.put(f"log/{name}", b"repaired")
        assert objects.get(f"log/{name}") == b"repaired"
    assert (tmp_path / "outside" / "secret").read_text() == "secret"
    durable.sync_path(str(tmp_path / "log" / "folder"))
    os.mkfifo(tmp_path / "pipe")
    durable.sync_path(str(tmp_path / "pipe"))


def test_no_path_leads_out_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    objects = Objects(str(tmp_path / "lake"))
    for path in ("../secret", "log/../../secret", str(tmp_path / "secret")):
        for act in (objects.get, objects.delete, objects.list, objects.sync, lambda p: objects.put(p, b"")):
            with pytest.raises(StoreDamaged, match="leads out of"):
                act(path)
    assert (tmp_path / "secret").exists()


def test_a_file_of_a_terabyte_is_not_read(tmp_path: Path, promptly: None) -> None:
    (tmp_path / "x").touch()
    os.truncate(tmp_path / "x", 1 << 40)
    objects = Objects(str(tmp_path))
    assert objects.stat("x") == 1 << 40
    for look in (objects.get, objects.hashed):
        with pytest.raises(StoreDamaged, match=r"has 1,099,511,627,776 bytes; 1,000 were expected at most"):
            look("x", 1000)


def test_sizes_and_hashes_are_alike_everywhere(url: str) -> None:
    from nsdata.verify.files import blake

    objects, data = Objects(url), os.urandom((1 << 20) + 17)
    assert objects.stat("a/x") is None and objects.hashed("a/x") is None and objects.get("a/x", 5) is None
    for raw in (data, b"", b"12345"):
        objects.put("a/x", raw)
        assert objects.stat("a/x") == len(raw) and objects.hashed("a/x") == (len(raw), blake(raw))
        assert objects.hashed("a/x", len(raw)) == (len(raw), blake(raw)) and objects.get("a/x", len(raw)) == raw
    for look in (objects.get, objects.hashed):
        with pytest.raises(StoreDamaged, match="has 5 bytes; 4 were expected at most"):
            look("a/x", 4)
    assert objects.list("a") == [("a/x", 5)] and objects.stat("a/x/y") is None
    objects.delete("a/x")
    objects.delete("a/x")
    assert objects.list("a") == []


# ---------------------------------------------------------------- claims


def test_a_claim_is_never_made_on_what_is_no_file(tmp_path: Path, promptly: None) -> None:
    odd = [*_odd(tmp_path / "claims"), "folder"]
    os.symlink(tmp_path / "victim", tmp_path / "claims" / "creating")
    for name in [*odd, "creating"]:
        with locks.lock(str(tmp_path), name) as free_:
            assert free_ is None  # nobody can tell: as in a bucket, work goes on under a name of its own
        with locks.free_name(str(tmp_path), name) as own:
            assert own.startswith(f"{name}-")
    assert not (tmp_path / "victim").exists()
    with locks.lock(str(tmp_path), "file") as first, locks.lock(str(tmp_path), "file") as second:
        assert first is True and second is False


def test_claims_elsewhere_are_refused(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    with pytest.raises(StorageFailed, match="lake is not there any more"), locks.lock(str(lake), "x"):
        pass
    lake.mkdir()
    (tmp_path / "elsewhere").mkdir()
    for target in (tmp_path / "elsewhere", tmp_path / "nowhere", "claims"):
        os.symlink(target, lake / "claims")
        with pytest.raises(StorageFailed, match="lake/claims is no folder"), locks.lock(str(lake), "x"):
            pass
        (lake / "claims").unlink()
    (lake / "claims").touch()
    with pytest.raises(StorageFailed, match="lake/claims is no folder") as no, locks.lock(str(lake), "x"):
        pass
    assert no.value.hint == f"rm {lake}/claims" and names(tmp_path / "elsewhere") == []


def test_a_full_disk_can_be_emptied_though_nothing_can_be_claimed(mount: Mount) -> None:
    full = mount("tmpfs", "nr_inodes=2")
    (full / "last").touch()
    with locks.lock(str(full), "gc") as alone:
        assert alone is None


# ---------------------------------------------------------------- run folders and exports


def training_files():  # type: ignore[no-untyped-def]
    from training import files  # loads torch

    return files


def run_folder():  # type: ignore[no-untyped-def]
    from training import run_folder as module  # loads torch

    return module


def test_run_folders_and_exports_say_the_same_of_a_full_disk(mount: Mount) -> None:
    small = mount("tmpfs", "size=256k")
    rows = [ExportRow(f"{i:032x}", os.urandom(30_000), None, "train", "x") for i in range(20)]
    for format in ("folder", "wds", "parquet"):
        with pytest.raises(StorageFailed, match=rf"^The disk that holds {small} \(mounted at {small}\) is full: "):
            export(rows, small / f"out-{format}", format)
    assert names(small) == []
    (small / "run").mkdir()
    files, torch = training_files(), pytest.importorskip("torch")
    for content in ({"x": "y" * 400_000}, {"x": torch.zeros(100_000)}):
        said = rf"^The disk that holds {small}/run \(mounted at {small}\) is full: "
        with pytest.raises(StorageFailed, match=said), files.writing(small / "run"):
            files.write_tensors(small / "run" / "best.pt", content)
    assert names(small) == ["run"]


def test_the_way_to_a_run_folder_is_durable_whoever_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, synced = run_folder(), set[str]()
    monkeypatch.setattr(durable, "sync_path", synced.add)
    (tmp_path / "runs" / "gen-0").mkdir(parents=True)
    for folder in (tmp_path / "runs" / "gen-0", tmp_path / "other" / "runs" / "gen-0"):
        synced.clear()
        with module.held(folder):
            assert {str(folder.parent), str(folder.parent.parent), str(tmp_path)} <= synced


def test_what_torch_says_of_a_write_that_ended_short_is_told_as_the_disks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is room again when it is asked."""
    files, torch = training_files(), pytest.importorskip("torch")

    def save(content: object, file: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 48704 vs 48600\nframe #0")

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(StorageFailed, match="ended short; was the disk full for a moment") as failed:
        files.write_tensors(tmp_path / "best.pt", {})
    assert "enforce" not in failed.value.message and names(tmp_path) == []


def test_a_demo_says_the_same_of_a_full_disk(mount: Mount) -> None:
    from cli.demo import run

    small = mount("tmpfs", "size=64k")
    (small / "fill").write_bytes(bytes(space.free(small) or 0))
    with pytest.raises(StorageFailed, match=rf"^The disk that holds {small}/demo .* is full: "):
        run(small / "demo", 1, False)


def test_a_run_folder_that_was_moved_or_is_a_file_is_said_so(tmp_path: Path) -> None:
    files, module = training_files(), run_folder()
    said = r"run is not there any more: the run folder was moved or deleted"
    with pytest.raises(StorageFailed, match=said), files.writing(tmp_path / "run"):
        module.write_metrics(tmp_path / "run", [])
    (tmp_path / "file").touch()
    with pytest.raises(NsdataError, match="file cannot be made: File exists"), module.held(tmp_path / "file"):
        pass


def test_a_file_of_a_run_that_ended_short_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"old")

    def lying(file: object) -> None:
        file.write(b"new and longer")  # type: ignore[attr-defined]
        file.flush()  # type: ignore[attr-defined]
        os.truncate(file.name, 3)  # type: ignore[attr-defined]

    files = training_files()
    with pytest.raises(StorageFailed, match=r"best.pt has 3 bytes; 14 were written"), files.writing(tmp_path):
        files.write_whole(tmp_path / "best.pt", lying)
    assert (tmp_path / "best.pt").read_bytes() == b"old" and names(tmp_path) == ["best.pt"]
