"""What one import did, and what it left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from nsdata.arguments import shown
from nsdata.errors import BadInput
from nsdata.importers.item import Skipped


@dataclass(frozen=True, slots=True)
class Clash:
    """The same bytes came a second time with another label or split; the later one was left out."""

    source: str
    id: str
    reason: str


@dataclass(repr=False)
class Imported:
    """What one import did. ``version`` is None when nothing was new and so nothing was published."""

    source: str
    added: int = 0
    labelled: int = 0  # of the added or revived ones
    present: int = 0  # images that were here already, with nothing new to say
    hidden: int = 0  # of those: removed by a person, and so not visible
    gained: int = 0  # images that were here without a label and have one now
    stayed: int = 0  # of ``present``: in another split than the source says, and left there
    moved: dict[str, int] = field(default_factory=dict)  # images that were here and changed split: {"train → test": 12}
    revived: int = 0  # images whose import was undone and counts again: nothing was stored a second time
    continued: int = 0  # images that an interrupted run of the same import had stored
    splits: dict[str, int] = field(default_factory=dict)
    read_as: str = ""  # what classes and splits were read from: "labels: folder names · splits: folders train/, test/"
    notices: list[str] = field(default_factory=list)  # names that were taken as others, and what was passed over
    skipped: list[Skipped] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)
    version: int | None = None
    seconds: float = 0.0

    @property
    def nothing(self) -> bool:
        """Whether the source holds files, and none of them came in, is here, or said anything new."""
        return self.version is None and not self.present and bool(self.skipped or self.clashes)

    def __repr__(self) -> str:
        counts = {name: getattr(self, name) for name in ("added", "labelled", "present", "hidden", "gained", "revived")}
        counts |= {f"moved {where}": count for where, count in self.moved.items()}
        counts |= {"skipped": len(self.skipped), "clashes": len(self.clashes)}
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing new"
        where = "" if self.version is None else f", version {self.version}"
        return f"<Imported {shown(self.source)}: {told}{where}>"


def strict_error(result: Imported) -> BadInput:
    """What ``strict`` says of an import in which something cannot come in."""
    first = result.skipped[0] if result.skipped else result.clashes[0]
    count = len(result.skipped) + len(result.clashes)
    return BadInput(
        f"{count:,} of the files of {result.source} cannot come in, the first being {first.source}: {first.reason}. "
        "Nothing was imported.",
        "Leave out --strict to import the rest.",
    )
