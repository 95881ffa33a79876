"""What ``verify`` found: each thing that is not as it was published, with its rows and what that means for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nsdata.text import listed

Ranges = Sequence[tuple[int, int]]  # first and last row, both of them included

AGAIN = "nsdata verify --repair --from COPY"


@dataclass(slots=True)
class Finding:
    """One thing that is not as it was published. ``rows`` are row numbers of the store."""

    dataset: str  # what is damaged: a dataset of the store, a file of its log, a model
    kind: str  # log, checkpoint, images, labels, embeddings, people, view or model
    what: str
    consequence: str
    hint: str = ""  # the command that helps
    rows: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    images: int = 0  # rows that are, or may be, affected
    files: tuple[str, ...] = field(default=(), repr=False)  # below the store
    repaired: str = ""  # what --repair did, once it was looked at again and found whole

    def __str__(self) -> str:
        lines = [f"{self.dataset}: {self.what}", f"  {self.consequence}"]
        if self.repaired:
            lines.append(f"  repaired: {self.repaired}")
        elif self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


@dataclass(slots=True, repr=False)
class Report:
    """What was looked at, and what was found. ``sound`` if that is nothing; notes are no damage."""

    url: str
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    events: int = 0
    datasets: int = 0
    files: int = 0
    bytes: int = 0  # read and hashed
    images: int = 0  # rows of image datasets that were read
    seconds: float = 0.0
    hashing: float = 0.0  # seconds of them that hashing files took
    seed: int | None = None  # of the sample; None = everything was read

    @property
    def sound(self) -> bool:
        """Nothing was found, not even something that was repaired."""
        return not self.findings

    @property
    def repaired(self) -> bool:
        """All that was found was repaired."""
        return all(finding.repaired for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**asdict(self), "sound": self.sound, "repaired": bool(self.findings) and self.repaired}

    def __repr__(self) -> str:
        return f"<Report of {self.url}: {self.summary}>"

    def __str__(self) -> str:
        return "\n".join([*map(str, self.findings), *(f"note: {note}" for note in self.notes), self.summary])

    @property
    def summary(self) -> str:
        """One line: what was found in how much."""
        if not self.findings:
            verdict = "sound"
        elif self.repaired:
            verdict = f"repaired: {_count(len(self.findings), 'finding')}; nsdata verify looks again"
        else:
            left = sum(not finding.repaired for finding in self.findings)
            verdict = f"damaged: {_count(left, 'finding')}" + (
                f", {len(self.findings) - left:,} more repaired" if left < len(self.findings) else ""
            )
        speed = f" (hashed at {self.bytes / 1e6 / self.hashing:,.0f} MB/s)" if self.bytes > 1e7 and self.hashing else ""
        drawn = f" · a sample, seed {self.seed}" if self.seed is not None else ""
        return (
            f"{verdict} · {_count(self.events, 'event')}, {_count(self.datasets, 'dataset')}, "
            f"{_count(self.files, 'file')}, {self.bytes / 1e6:,.1f} MB{speed}, {_count(self.images, 'image')} "
            f"in {self.seconds:.1f} s{drawn}"
        )


def ranges(rows: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Row numbers as runs, ascending."""
    return joined((row, row) for row in rows)


def printed_rows(runs: Ranges) -> str:
    """ "row 7", "rows 120 to 122, 140 and 3 more runs"."""
    word = "row" if count_rows(runs) == 1 else "rows"
    return f"{word} {listed(list(_each(runs)), 5)}" if runs else "no rows"


def _each(runs: Ranges) -> Iterator[str]:
    for first, last in runs:
        yield f"{first:,}" if first == last else f"{first:,} to {last:,}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def joined(runs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Runs of rows without overlaps, ascending; neighbours become one."""
    out: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(last, out[-1][1]))
        else:
            out.append((first, last))
    return tuple(out)


def count_rows(runs: Ranges) -> int:
    """Rows in runs that do not overlap."""
    return sum(last - first + 1 for first, last in runs)
