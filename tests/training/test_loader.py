"""In a loop of one's own every row comes as often as the view says, and a run taken up sees what it would have seen."""

from __future__ import annotations

import pickle
import re
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CLASSES, ROOT, digits, labelled_by_a_teacher
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, RandomSampler, SubsetRandomSampler

from nsdata import Store, View
from nsdata.errors import BadInput, EmptyView, NotFound, StoreDamaged
from nsdata.images.crops import centre, random_resized
from nsdata.images.pillow import pixels
from training import loader as loader_module
from training.loader import Batch, Loader
from training.view_dataset import ViewDataset

forking = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def _filled(url: str | Path) -> View:
    """A view with repeats over two imports, with soft labels."""
    store = Store.create(url, CLASSES)
    images, labels = digits(90)
    store.add_arrays(images[:50], labels[:50])
    store.add_arrays(images[50:], None)
    return labelled_by_a_teacher(store).view(gen=1).confident(0.3).balanced(7)


@pytest.fixture(scope="module")
def view() -> View:
    return _filled("mem://loader")


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> View:
    return _filled(tmp_path_factory.mktemp("loader") / "lake")


def rows_of(batches: Iterable[Batch]) -> list[int]:
    return [row for batch in batches for row in batch.rows.tolist()]


def no_threads() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith("nsdata")]


def same(one: Batch, two: Batch) -> bool:
    assert one.soft is not None and two.soft is not None
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True) if a is not None and b is not None)


# -------------------------------------------------------------------------------- what comes


@given(
    batch_size=st.integers(1, 80), world=st.integers(1, 3), epoch=st.integers(0, 3), shuffle=st.booleans(),
    drop_last=st.booleans(), threads=st.integers(1, 3), order=st.sampled_from([None, "blocks"]),
)  # fmt: skip
@settings(max_examples=20, deadline=None)
def test_an_epoch_is_that_epoch_of_the_views_stream(
    view: View, batch_size: int, world: int, epoch: int, **way: Any
) -> None:
    for rank in range(world):
        options = {**way, "seed": 3, "rank": rank, "world": world}
        mine = Loader(view, batch_size, **options)
        streamed = list(view.stream(batch_size, epochs=epoch + 1, **options))[epoch * len(mine) :]
        if not len(mine) and way["drop_last"]:
            with pytest.raises(BadInput, match="fewer than a batch"):
                next(iter(mine))
            continue
        mine.set_epoch(epoch)
        batches = list(mine)
        assert len(batches) == len(mine) == len(streamed)
        for ours, theirs in zip(batches, streamed, strict=True):
            assert ours.soft is not None and theirs.soft is not None
            assert np.array_equal(ours.images.permute(0, 2, 3, 1).numpy(), theirs.images)
            assert np.array_equal(ours.rows.numpy(), theirs.rows)
            assert np.array_equal(ours.labels.numpy(), theirs.labels)
            assert np.array_equal(ours.soft.numpy(), theirs.soft)


def test_each_epoch_shows_every_row_as_often_as_the_view_says_in_another_order(view: View) -> None:
    counts = Counter(view.rows.tolist())
    assert max(counts.values()) > 1
    loaders = [Loader(view, 6, rank=rank, world=3, threads=2) for rank in range(3)]
    orders = [tuple(row for loader in loaders for row in rows_of(loader)) for _ in range(3)]
    assert all(Counter(order) == counts for order in orders)
    assert len(set(orders)) == 3
    assert no_threads()


def test_tensors_are_what_their_description_says(view: View) -> None:
    plain = view.store.view()
    for batch in Loader(view, 8, size=6):
        b = len(batch.rows)
        assert batch.images.shape == (b, 3, 6, 6) and batch.images.dtype == torch.uint8
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.labels.dtype == batch.rows.dtype == torch.int64
        assert batch.soft is not None and batch.soft.shape == (b, 10) and batch.soft.dtype == torch.float16
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # memory that must not be written is not shown to PyTorch as if it could be
        batches = list(Loader(plain, 8, shuffle=False))
    assert all(batch.soft is None for batch in batches)
    assert rows_of(batches) == plain.rows.tolist()
    assert [label for batch in batches for label in batch.labels.tolist()] == plain.labels.tolist()
    assert -1 in plain.labels


def test_batches_lie_in_the_memory_that_was_allocated_for_them(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[np.ndarray] = []

    def allocate(shape: tuple[int, ...]) -> np.ndarray:
        made.append(np.empty(shape, np.uint8))
        return made[-1]

    monkeypatch.setattr(loader_module, "pinned", allocate)
    for batch in Loader(view, 8, pin_memory=True):
        assert batch.images.data_ptr() in {array.ctypes.data for array in made}
    count = len(made)
    for _ in Loader(view, 8, pin_memory=False):
        assert len(made) == count


def test_crops_are_the_views_and_random_ones_differ_from_epoch_to_epoch(view: View) -> None:
    for options in ({"size": 5}, {"size": 5, "crop": "random", "flip": True, "scale": (0.2, 0.9)}):
        mine = Loader(view, 16, seed=2, **options)
        theirs = view.batches(16, seed=2, epochs=2, **options)
        for images, _ in theirs:
            epoch = mine.state_dict()["epoch"]
            if not mine.state_dict()["batches"]:
                batches = iter(mine)
            assert np.array_equal(next(batches).images.permute(0, 2, 3, 1).numpy(), images), epoch
    for crop in (centre(5), random_resized(5)):
        one, two = Loader(view, 100, crop=crop, shuffle=False), Loader(view, 100, crop=crop, shuffle=False)
        two.set_epoch(1)
        assert torch.equal(next(iter(one)).images, next(iter(two)).images) == crop.fixed


def test_pictures_from_a_cache_are_the_same_in_all_epochs(view: View) -> None:
    for size in (None, 5):
        for one, two in zip(_epochs(view, size=size), _epochs(view, size=size, cache_bytes=2_000), strict=True):
            assert same(one, two)


def _epochs(view: View, **options: Any) -> list[Batch]:
    mine = Loader(view, 9, **options)
    return [batch for _ in range(3) for batch in mine]


# -------------------------------------------------------------------------------- where it stands


@given(batch_size=st.integers(1, 40), cut=st.integers(0, 200), world=st.integers(1, 2), drop_last=st.booleans())
@settings(max_examples=15, deadline=None)
def test_a_run_that_is_taken_up_sees_what_it_would_have_seen(
    view: View, batch_size: int, cut: int, world: int, drop_last: bool
) -> None:
    def made() -> Loader:
        return Loader(view, batch_size, size=4, crop="random", drop_last=drop_last, rank=world - 1, world=world, seed=5)

    assume(not drop_last or batch_size * world <= len(view))  # else there is no batch, and it is refused
    straight = [(epoch, batch) for first in [made()] for epoch in range(3) for batch in first]
    cut = min(cut, len(straight))
    before = made()
    taken = 0
    while taken < cut:
        for _ in before:
            taken += 1
            if taken == cut:
                break
    state = pickle.loads(pickle.dumps(before.state_dict()))
    after = made()
    after.load_state_dict(state)
    assert after.state_dict() == state
    rest = []
    for epoch in range(state["epoch"], 3):
        after.set_epoch(epoch)  # as many loops do; it must not begin the epoch again
        rest += list(after)
    assert len(rest) == len(straight) - cut
    assert all(same(one, two) for one, (_, two) in zip(rest, straight[cut:], strict=True))


def test_the_state_counts_the_batches_that_were_handed_out(view: View) -> None:
    mine = Loader(view, 10)
    each = len(mine)
    seen = [(mine.state_dict()["epoch"], mine.state_dict()["batches"])]
    for _ in range(2):
        seen += [(mine.state_dict()["epoch"], mine.state_dict()["batches"]) for _ in mine]
    assert seen == [divmod(number, each) for number in range(2 * each + 1)]


def test_a_state_is_plain_and_survives_a_checkpoint(view: View, tmp_path: Path) -> None:
    mine = Loader(view, 10)
    next(iter(mine))
    torch.save({"loader": mine.state_dict()}, tmp_path / "checkpoint.pt")
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["loader"] == mine.state_dict()


def test_one_ranks_state_serves_the_others(view: View) -> None:
    """Of 70 rows, 3 ranks get 23 each, and rank 0 the last one in a batch of its own."""
    assert len(view) == 70
    ranks = [Loader(view, 23, rank=rank, world=3) for rank in range(3)]
    assert [len(loader) for loader in ranks] == [2, 1, 1]
    epochs = [[rows_of(loader) for loader in ranks] for _ in range(2)]
    first = Loader(view, 23, rank=0, world=3)
    next(iter(first))
    for rank, batches in enumerate((1, 0, 0)):
        other = Loader(view, 23, rank=rank, world=3)
        other.load_state_dict(first.state_dict())
        assert len(list(other)) == batches
        assert rows_of(other) == epochs[1][rank]
    with pytest.raises(BadInput, match="negative"):
        first.load_state_dict({**first.state_dict(), "epoch": -1})


def test_the_state_of_something_else_is_refused(view: View) -> None:
    mine = Loader(view, 10)
    next(iter(mine))
    state = mine.state_dict()
    for other in (view.store.view(gen=1), view.store.view().only(np.isin(view.store.view().rows, view.rows), "these")):
        with pytest.raises(BadInput, match="another view") as told:
            Loader(other, 10).load_state_dict(state)
        assert f"{len(view):,} rows" in told.value.message and f"{len(other):,}" in told.value.message
    changes: list[dict[str, Any]] = [
        {"batch_size": 11}, {"drop_last": True}, {"shuffle": False}, {"order": "blocks"}, {"rank": 0, "world": 2}
    ]  # fmt: skip
    at_the_end = {**state, "epoch": 1, "batches": 0}
    for change in changes:
        other_way = Loader(view, **{"batch_size": 10, **change})
        with pytest.raises(BadInput, match="in the middle of epoch 0"):
            other_way.load_state_dict(state)
        other_way.load_state_dict(at_the_end)  # between two epochs it does not matter
        assert other_way.state_dict()["epoch"] == 1
    with pytest.raises(BadInput, match="seed=0; this loader has seed=1"):
        Loader(view, 10, seed=1).load_state_dict(at_the_end)
    with pytest.raises(BadInput, match="format 9"):
        mine.load_state_dict({**state, "format": 9})
    for nonsense in ({}, {"epoch": 1}, None, [state]):
        with pytest.raises(BadInput, match="not the state of a Loader"):
            mine.load_state_dict(nonsense)  # type: ignore[arg-type]


def test_an_epoch_that_was_left_is_followed_by_the_next_one(view: View) -> None:
    epochs = [rows_of(Loader(view, 10, seed=1)), *(rows_of(_at(view, epoch)) for epoch in (1, 2))]
    mine = Loader(view, 10, seed=1)
    assert rows_of([next(iter(mine))]) == epochs[0][:10]
    assert rows_of([next(iter(mine))]) == epochs[1][:10]
    mine.set_epoch(1)
    iter(mine)  # nothing was taken: as if it had not been
    assert rows_of(mine) == epochs[1]
    assert rows_of(mine) == epochs[2]
    mine.set_epoch(1)
    assert rows_of(mine) == epochs[1]
    with pytest.raises(BadInput, match="epoch is -1"):
        mine.set_epoch(-1)


def _at(view: View, epoch: int) -> Loader:
    made = Loader(view, 10, seed=1)
    made.set_epoch(epoch)
    return made


def test_no_thread_is_left(view: View) -> None:
    mine = Loader(view, 4, threads=3)
    left = iter(mine)
    next(left)
    assert not no_threads()
    left.close()
    assert no_threads()
    for _ in mine:
        break
    assert no_threads()
    for number, _ in enumerate(mine, 1):
        if number == len(mine):  # the loop does not ask for one more
            assert no_threads()
            break
    held = iter(mine)
    next(held)
    mine.close()
    assert no_threads()
    with pytest.raises(RuntimeError, match="in the loop"):
        for _ in mine:
            raise RuntimeError("in the loop")
    assert no_threads()


def test_there_is_one_iteration_at_a_time(view: View) -> None:
    for end in (iter, lambda mine: mine.set_epoch(0), lambda mine: mine.load_state_dict(mine.state_dict())):
        mine = Loader(view, 4)
        first = iter(mine)
        next(first)
        end(mine)
        assert no_threads()
        with pytest.raises(BadInput, match="iterated again"):
            next(first)
    assert len(list(mine)) == len(mine) - 1  # what the last one left: the rest after the state that was loaded


# -------------------------------------------------------------------------------- where it runs


def test_the_place_among_the_processes_is_asked_when_it_is_needed(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Loader(view, 5)
    alone = len(mine)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    half = rows_of(mine)
    assert half == rows_of(Loader(view, 5, rank=1, world=2)) and len(mine) < alone
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 2)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 3)
    assert rows_of(Loader(view, 5)) == rows_of(Loader(view, 5, rank=2, world=3))
    assert rows_of(Loader(view, 5, rank=0, world=1)) != half
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: False)
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(BadInput, match="RANK is 2"):
        len(mine)


def test_what_cannot_be_is_refused_at_the_door(view: View) -> None:
    with pytest.raises(EmptyView):
        Loader(view.store.view().split("test"), 4)
    for options in (
        {"batch_size": 0}, {"batch_size": 2.5}, {"rank": 0}, {"rank": 2, "world": 2}, {"order": "best"},
        {"crop": "big"}, {"crop": "random"}, {"crop": centre(4), "size": 4}, {"crop": centre(4), "flip": True},
        {"size": 4, "crop": "random", "cache_bytes": 100}, {"seed": 1.5}, {"device": "gpu"},
    ):  # fmt: skip
        with pytest.raises(BadInput):
            next(iter(Loader(view, **{"batch_size": 4, **options})))
    store = Store.create("mem://loader-sizes", CLASSES)
    store.add_arrays(digits(3)[0])
    store.add_arrays(np.zeros((1, 4, 6), np.uint8))
    with pytest.raises(BadInput, match="2 sizes"):
        Loader(store.view(), 4)
    assert len(rows_of(Loader(store.view(), 4, size=4))) == 4


def test_a_dataloader_around_it_changes_nothing(view: View) -> None:
    around: DataLoader[Batch] = DataLoader(Loader(view, 9, seed=4), batch_size=None)
    assert len(around) == len(Loader(view, 9))
    for epoch in range(2):
        mine = Loader(view, 9, seed=4)
        mine.set_epoch(epoch)
        for one, two in zip(around, mine, strict=True):
            assert isinstance(one, Batch) and same(one, two)
    for _ in around:
        break
    assert no_threads()


@forking
def test_worker_processes_are_refused_before_anything_hangs(view: View) -> None:
    with pytest.raises(BadInput, match="threads of its own"):
        list(DataLoader(Loader(view, 9), batch_size=None, num_workers=1, multiprocessing_context="fork"))
    with pytest.raises(BadInput, match="another process"):
        list(DataLoader(Loader(view, 9), batch_size=None, num_workers=1, multiprocessing_context="spawn"))


# -------------------------------------------------------------------------------- others' loops


def test_accelerate_shows_every_row(view: View) -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    expected = [rows_of(_at(view, epoch)) for epoch in range(2)]
    assert [rows_of(mine) for mine in [accelerator.prepare(Loader(view, 10, seed=1))] for _ in range(2)] == expected
    around = accelerator.prepare(DataLoader(Loader(view, 10, seed=1), batch_size=None))
    assert [rows_of(around) for _ in range(2)] == expected
    around.set_epoch(0)
    assert rows_of(around) == expected[0]
    mine = Loader(view, 10, seed=1)
    mine.load_state_dict({**mine.state_dict(), "epoch": 1, "batches": 2})
    taken_up = accelerator.prepare(DataLoader(mine, batch_size=None))
    taken_up.set_epoch(1)
    assert rows_of(taken_up) == expected[1][20:]
    assert no_threads()


def test_accelerate_is_kept_from_dealing_out_one_ranks_share(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    class DataLoaderDispatcher:  # as accelerate iterates a DataLoader around an IterableDataset
        def __init__(self, around: DataLoader[Batch]) -> None:
            self.base_dataloader = around

        def __iter__(self) -> Iterator[Batch]:
            yield from self.base_dataloader

    dispatched = DataLoaderDispatcher(DataLoader(Loader(view, 10), batch_size=None))
    assert Counter(rows_of(dispatched)) == Counter(view.rows.tolist())
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadInput, match="deal it out"):
        rows_of(dispatched)


def _fitted(mine: Any, folder: Path, checkpoint: Path | None = None, save: Iterable[int] = ()) -> list[int]:
    """The rows that Lightning trained on in three epochs; checkpoints after some steps and at the end of each epoch."""
    lightning = pytest.importorskip("lightning")
    seen: list[int] = []

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(192, 10)

        def training_step(self, batch: Batch, _: int) -> torch.Tensor:
            assert isinstance(batch, Batch) and batch.soft is not None
            seen.extend(batch.rows.tolist())
            logits = self.layer(batch.images.flatten(1) / 255)
            return torch.nn.functional.cross_entropy(logits, batch.soft.float())

        def on_train_batch_end(self, outputs: Any, batch: Batch, index: int) -> None:
            if self.global_step in save:
                self.trainer.save_checkpoint(folder / f"step-{len(seen)}.ckpt")

        def on_train_epoch_end(self) -> None:
            if save:
                self.trainer.save_checkpoint(folder / f"epoch-{len(seen)}.ckpt")

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own use of PyTorch, and worker processes that we do not need
        trainer = lightning.Trainer(
            accelerator="cpu", max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(Module(), train_dataloaders=mine, ckpt_path=checkpoint)
    return seen


def test_lightning_goes_through_the_epochs_and_goes_on_where_it_stopped(view: View, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    expected = [row for epoch in range(3) for row in rows_of(_at(view, epoch))]
    each = len(_at(view, 0))
    assert _fitted(_at(view, 0), tmp_path, save=(2, each, each + 3)) == expected
    assert _fitted(DataLoader(_at(view, 0), batch_size=None), tmp_path) == expected
    names = sorted(path.stem for path in tmp_path.glob("*.ckpt"))
    n = len(view)
    assert names == sorted([f"epoch-{n}", f"epoch-{2 * n}", f"epoch-{3 * n}", "step-20", f"step-{n}", f"step-{n + 30}"])
    for name in names:
        rest = _fitted(_at(view, 0), tmp_path, tmp_path / f"{name}.ckpt")
        assert rest == expected[int(name.split("-")[1]) :], name


# -------------------------------------------------------------------------------- single images


def test_an_item_is_its_entry_of_the_view(view: View) -> None:
    dataset, plain = ViewDataset(view), ViewDataset(view.store.view())
    assert len(dataset) == len(view)
    soft = view.store.labels(1).take(view.rows)
    for place in (0, 5, -1, np.int64(3), torch.tensor(4)):
        image, target, row = dataset[place]  # type: ignore[index]
        assert row == view.rows[place] and isinstance(row, int)
        assert image.shape == (3, 8, 8) and image.dtype == torch.uint8
        blob = view.store.table.blobs(view.rows[[place]])[0]
        assert np.array_equal(image.permute(1, 2, 0).numpy(), pixels(blob))
        assert isinstance(target, torch.Tensor) and np.array_equal(target.numpy(), soft[place])
    assert [target for _, target, _ in plain.__getitems__(range(len(plain)))] == plain_labels(view)
    for place in (len(view), -len(view) - 1):
        with pytest.raises(IndexError):
            dataset[place]
    with pytest.raises(BadInput):
        ViewDataset(view, crop="random")
    with pytest.raises(EmptyView):
        ViewDataset(view.store.view().split("test"))


def plain_labels(view: View) -> list[int]:
    return view.store.view().labels.tolist()


def test_a_list_of_items_is_one_request(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    blobs = view.store.table.blobs
    monkeypatch.setattr(view.store.table, "blobs", lambda rows: asked.append(len(rows)) or blobs(rows))
    assert len(list(DataLoader(ViewDataset(view), 7, shuffle=True))) == len(asked) == -(-len(view) // 7)


def test_chance_comes_from_pytorchs_generator(view: View) -> None:
    dataset = ViewDataset(view, size=5, crop="random", flip=True)

    def images(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.stack([image for image, _, _ in dataset.__getitems__(range(30))])

    with torch.random.fork_rng(devices=[]):
        assert torch.equal(images(1), images(1)) and not torch.equal(images(1), images(2))


@forking
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_worker_processes_read_each_entry_once(on_disk: View, context: str) -> None:
    on_disk.store.table.blobs(on_disk.rows[:3])  # a handle is open here, which no other process may use
    dataset = ViewDataset(Store.open(on_disk.store.url).view(gen=1).confident(0.3).balanced(7), size=6)
    shuffled: DataLoader[Any] = DataLoader(dataset, 8, shuffle=True, num_workers=2, multiprocessing_context=context)
    soft = on_disk.store.labels(1)
    seen: Counter[int] = Counter()
    for images, target, rows in shuffled:
        assert images.shape == (len(rows), 3, 6, 6)
        assert np.array_equal(target.numpy(), soft.take(rows.numpy()))
        seen.update(rows.tolist())
    assert seen == Counter(on_disk.rows.tolist())


def test_samplers_of_ones_own_decide_what_comes(view: View) -> None:
    dataset = ViewDataset(view)
    some = [3, 1, 4, 1, 5]
    assert [row for _, _, rows in DataLoader(dataset, 2, sampler=some) for row in rows.tolist()] == [
        int(view.rows[place]) for place in some
    ]
    for sampler in (RandomSampler(dataset), SubsetRandomSampler(range(len(view)))):
        rows = [row for _, _, rows in DataLoader(dataset, 4, sampler=sampler) for row in rows.tolist()]
        assert Counter(rows) == Counter(view.rows.tolist())


def test_a_process_that_cannot_read_a_store_is_told_so(
    view: View, on_disk: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="memory of this process"):
        pickle.dumps(ViewDataset(view))
    there: ViewDataset = pickle.loads(pickle.dumps(ViewDataset(on_disk)))
    assert there[2][2] == on_disk.rows[2]
    far = ViewDataset(on_disk)
    monkeypatch.setattr(far, "_url", "s3://bucket/lake")
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(BadInput, match="forked process cannot read s3://bucket/lake"):
        far[0]


def test_a_picture_that_is_none_any_more_is_named(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs: Callable[[np.ndarray], list[bytes]] = view.store.table.blobs
    monkeypatch.setattr(view.store.table, "blobs", lambda rows: [*blobs(rows)[:-1], b"GIF89a"])
    name = bytes(view.store.table.ids[view.rows[4]]).hex()
    for size in (None, 4):
        with pytest.raises(StoreDamaged, match=name):
            ViewDataset(view, size=size).__getitems__([0, 4])


@forking
@pytest.mark.parametrize("needs", [(), ("accelerate",), ("lightning",)])
def test_the_python_that_the_guide_shows_runs(needs: tuple[str, ...], tmp_path: Path, monkeypatch: Any) -> None:
    for name in needs:
        pytest.importorskip(name)
    guide = (ROOT / "docs" / "loaders.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    _filled(tmp_path / "lake")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        if needs:
            warnings.simplefilter("ignore")  # theirs
        names: dict[str, Any] = {"__name__": "guide"}
        for block in blocks:
            wants = [other for other in ("accelerate", "lightning") if f" {other}" in block.split("\n\n")[0]]
            if not wants or wants == list(needs):
                exec(compile(block, "docs/loaders.md", "exec"), names)


def test_a_worker_that_begins_after_a_purge_reads_where_the_images_are_now(tmp_path: Path) -> None:
    store = Store.open(_filled(tmp_path / "lake").store.url)
    everything, some = ViewDataset(store.view()), ViewDataset(store.view().labelled())
    begins, before = [pickle.dumps(dataset) for dataset in (some, everything)], some[3]
    row = next(iter({*everything.rows.tolist()} - {*some.rows.tolist()}))
    store.remove([bytes(store.table.ids[row]).hex(), bytes(store.table.ids[some.rows[7]]).hex()])
    store.gc(purge=True, older_than_hours=0)
    worker, other = (pickle.loads(begun) for begun in begins)
    assert torch.equal(worker[3][0], before[0]) and worker[3][1:] == before[1:]
    for dataset, place in ((worker, 7), (other, everything.rows.tolist().index(row))):
        with pytest.raises(NotFound, match="was removed and purged"):
            dataset[place]
