"""The log, read by somebody who expects it to be damaged: which events are not those that were written, and what the
others still say.

An event's digest stands in the event after it, and the last one's in HEAD: from the end backwards, each event that is
whole vouches for the one before it.
"""

from __future__ import annotations

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from nsdata.errors import NsdataError, StoreDamaged, StoreNotFound, StoreTooNew
from nsdata.log.events import Anchor, Event, parse, path
from nsdata.log.history import checkpoint_path, checkpoints, read_checkpoint
from nsdata.log.replay import Fold
from nsdata.log.state import State
from nsdata.storage.objects import Objects
from nsdata.verify.files import fetch

HEAD = "log/HEAD"


@dataclass
class Bad:
    """An event that is not as it was written. ``digest`` is what its file should have; "" = nobody knows."""

    number: int
    what: str
    digest: str
    raw: bytes | None


@dataclass
class Logbook:
    """What the log says, as far as it can be believed."""

    url: str
    raws: dict[int, bytes] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)  # those that can be read
    bad: dict[int, Bad] = field(default_factory=dict)
    last: int = 0  # the newest event that anything names
    head: Anchor | None = None  # HEAD, where it can be believed
    head_problem: str = ""
    checkpoint_problems: dict[int, str] = field(default_factory=dict)
    checkpoint_right: dict[int, Fold] = field(default_factory=dict)  # what each should hold
    state: State | None = None
    certain: bool = True  # ``state`` lacks no event
    notes: list[str] = field(default_factory=list)
    bytes: int = 0

    @property
    def good(self) -> Anchor:
        """The last event before the first bad one."""
        number = min(self.bad, default=self.last + 1) - 1
        return Anchor(number, self.events[number].digest) if number else Anchor()

    @property
    def lagging(self) -> bool:
        """HEAD is behind, as a writer leaves it that was killed between its event and HEAD."""
        return not self.bad and not self.head_problem and (self.head.number if self.head else 0) < self.last


def read(objects: Objects) -> Logbook:
    """Read all of it. Raises StoreNotFound where there is no log; StoreTooNew for events of a later nsdata."""
    book = Logbook(objects.url)
    head, head_why = fetch(objects, HEAD)  # first: it can only be older than the events
    listed = [p for p, _ in objects.list("log")]
    numbers = [int(m[1]) for p in listed if (m := re.fullmatch(r"log/(\d{10})\.json", p))]
    if not numbers and head is None and head_why == "is missing":
        raise StoreNotFound(f"There is no store at {objects.url}.", "nsdata --store URL verify")
    with ThreadPoolExecutor(8, thread_name_prefix="nsdata-verify") as pool:
        for number, (raw, why) in zip(numbers, pool.map(lambda n: fetch(objects, path(n)), numbers), strict=True):
            if raw is None:
                book.bad[number] = Bad(number, why, "", None)
            else:
                book.raws[number] = raw
                book.bytes += len(raw)
    following = max(numbers, default=0) + 1
    raw, why = fetch(objects, path(following))
    if raw is None and why != "is missing":  # an empty folder has its name, which no listing shows
        book.bad[following] = Bad(following, why, "", None)
    for number, raw in book.raws.items():
        if (event := _lenient(raw, number)) is not None:
            book.events[number] = event
    saved = _checkpoints(book, objects)
    book.last = max([*book.raws, *book.bad, *saved])
    _judge_head(book, head, head_why)
    _judge_events(book, {number: fold.anchor.digest for number, fold in saved.items()})
    _add_up(book, saved)
    strays = [p for p in listed if not re.fullmatch(r"log/(\d{10}\.json|HEAD|(checkpoints|lost)/.*)", p)]
    if strays:
        book.notes.append(
            f"{strays[0]} is no file of nsdata's" + (f", nor are {len(strays) - 1} more" * (len(strays) > 1))
        )
    return book


def head_bytes(anchor: Anchor) -> bytes:
    """HEAD's file, as Log.put_head writes it."""
    return json.dumps({"number": anchor.number, "digest": anchor.digest}).encode()


def _lenient(raw: bytes, number: int) -> Event | None:
    """An event by itself, its place in the chain not looked at."""
    try:
        previous = json.loads(raw)["previous"]
        return parse(raw, number, previous)
    except (StoreDamaged, ValueError, KeyError, TypeError, RecursionError):
        return None


def _sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _nearly(a: str, b: str) -> bool:
    """Two digests of which one was damaged: of what differs, all but a few digits would."""
    return len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) <= 8


def _judge_head(book: Logbook, raw: bytes | None, why: str) -> None:
    """Whether HEAD, or what it vouches for, is damaged."""
    if raw is None:
        # a writer killed between the first event and HEAD leaves none; who comes next writes it
        if book.last > 1 or why != "is missing":
            book.head_problem = why
        return
    try:
        value = json.loads(raw)
        head = Anchor(int(value["number"]), str(value["digest"]))
        if raw != head_bytes(head) or head.number < 1 or not re.fullmatch("[0-9a-f]{64}", head.digest):
            raise ValueError
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        book.head_problem = "is not readable"
        return
    digests = {number: _sha(raw) for number, raw in book.raws.items()}
    if digests.get(head.number) == head.digest:
        book.head = head
    elif head.digest in digests.values():
        book.head_problem = f"names event {head.number} with the digest of another"
    elif head.number in digests and (
        _nearly(head.digest, digests[head.number])
        or (head.number + 1 in book.events and book.events[head.number + 1].previous == digests[head.number])
    ):
        book.head_problem = f"names event {head.number} with a digest that it does not have"
    elif head.number > book.last + 1_000_000:
        book.head_problem = f"names event {head.number}, which cannot be"
    else:  # the event that it vouches for is another, or gone
        book.head = head
        book.last = max(book.last, head.number)


def _judge_events(book: Logbook, vouched: dict[int, str]) -> None:
    """From the last event back: each that is whole says what the one before it was, as HEAD and checkpoints do."""
    if book.head is not None:
        vouched = {**vouched, book.head.number: book.head.digest}
    witness = ""
    for number in range(book.last, 0, -1):
        witness = witness or vouched.get(number, "")
        raw, event = book.raws.get(number), book.events.get(number)
        if raw is None:
            known = book.bad.get(number)
            book.bad[number] = Bad(number, known.what if known else "is missing", witness, None)
        elif witness and _sha(raw) != witness:
            book.bad[number] = Bad(number, "was changed" if event else "is not readable", witness, raw)
        elif event is None:
            book.bad[number] = Bad(number, "is not readable", witness, raw)
        elif not witness and number > 1 and _torn(event, book.raws.get(number - 1)):
            book.bad[number] = Bad(number, "was changed", "", raw)
        elif number == 1 and event.previous:
            book.bad[1] = Bad(1, "was changed", witness, raw)
        if number not in book.bad:
            assert event is not None
            witness = event.previous
        elif event is not None and number - 1 in book.raws and event.previous == _sha(book.raws[number - 1]):
            witness = event.previous
        else:
            witness = ""


def _torn(event: Event, before: bytes | None) -> bool:
    """Whether an event's own link to the one before it is damaged, rather than that one."""
    return before is not None and event.previous != _sha(before) and _nearly(event.previous, _sha(before))


def _add_up(book: Logbook, saved: dict[int, Fold]) -> None:
    """The newest state: from the first event, from a checkpoint behind the damage, or with events left out."""
    fold, first_bad = Fold(), min(book.bad, default=book.last + 1)
    for number in range(1, first_bad):
        try:
            fold.add([book.events[number]])
        except StoreDamaged as error:  # every digest is right: it was written so
            book.bad[number] = Bad(number, f"says what cannot be ({error.message})", "", book.raws[number])
            break
        if number in saved or number in book.checkpoint_problems:
            book.checkpoint_right[number] = fold.copy()
            if number in saved and not _same(saved[number], fold):
                book.checkpoint_problems[number] = "is not what the events up to it add up to"
    behind = [n for n in saved if n > fold.anchor.number and _vouched(book, saved[n])]
    if book.bad and behind:
        fold = saved[max(behind)]
    for number in range(fold.anchor.number + 1, book.last + 1):
        if number in book.bad:
            book.certain = False
        if number in book.events:
            try:
                fold.add([book.events[number]])
            except NsdataError:  # what it builds on is lost
                book.certain = False
    try:
        book.state = fold.state()
    except StoreDamaged:
        book.state = None


def _checkpoints(book: Logbook, objects: Objects) -> dict[int, Fold]:
    """The checkpoints that can be read."""
    saved: dict[int, Fold] = {}
    for number in checkpoints(objects):
        raw, why = fetch(objects, checkpoint_path(number))
        book.bytes += len(raw or b"")
        try:
            if raw is None:
                book.checkpoint_problems[number] = why
            else:
                saved[number] = read_checkpoint(raw, number)
        except StoreTooNew:
            raise
        except StoreDamaged:
            book.checkpoint_problems[number] = "is not readable"
    return saved


def _vouched(book: Logbook, fold: Fold) -> bool:
    """Whether an event that is whole says that this was the state before it."""
    number = fold.anchor.number
    after = book.events.get(number + 1)
    if after is not None and number + 1 not in book.bad:
        return after.previous == fold.anchor.digest
    return number in book.raws and number not in book.bad and _sha(book.raws[number]) == fold.anchor.digest


def _same(a: Fold, b: Fold) -> bool:
    return json.loads(json.dumps(a.to_json())) == json.loads(json.dumps(b.to_json()))
