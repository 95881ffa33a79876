"""Several sources of one command, before the first comes in: whether their labels, where numbers, are places from 0."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress

from nsdata.errors import BadInput
from nsdata.importers.detect import formats, is_digits, sources
from nsdata.importers.files import files_of
from nsdata.importers.found import Found
from nsdata.importers.name import parts_among, parts_of_a_set
from nsdata.importers.options import Rule

_PACKED = (".gz", ".bz2", ".xz", ".zst", ".tgz", ".tbz2", ".txz", ".tzst")  # unpacked once more only to look


def check_names(given: Sequence[str], split: str | None) -> None:
    """Raise BadInput where these sources are called after parts of one set; split: given by hand, for all."""
    files = []
    for source in given if split is None else ():
        with suppress(BadInput, OSError):
            files += [] if is_digits(source) else files_of(source)
    if parts := parts_among(files):
        raise parts_of_a_set(parts)


def check_numbers(
    given: Sequence[str],
    classes: Sequence[str],
    *,
    format: str | None = None,
    levels: str | None = None,
    member: str | None = None,
) -> None:
    """Look at the labels of all these sources, without pictures. Raises BadInput where numbers look as if they counted
    from 1, or are no places as another source shows: one alone may have too few to show it. What else is wrong with a
    source its own import says.
    """
    if format not in (None, *formats()):
        return
    rule = Rule(classes, split="train", levels=levels)
    for source in given:
        with suppress(BadInput, OSError), ExitStack() as kept:
            if not is_digits(source, format):
                files = [file for file in files_of(source) if not file.is_fifo() and file.suffix not in _PACKED]
                for each in sources(files, format, member, kept, levels):
                    part = each.part(rule)
                    for found in each.look():
                        with suppress(BadInput):
                            if isinstance(found, Found):
                                part.item(found)
    rule.check_numbers()
