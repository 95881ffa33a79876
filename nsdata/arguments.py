"""What callers give, checked at the public door: kinds of values, class names, and what a person may call a class.

Nothing is guessed: what has one meaning is taken (numpy's, pandas' and torch's scalars and columns too), the rest is
refused before anything is done. Values that come from a store or a file are checked by untrusted.py.
"""

from __future__ import annotations

import contextlib
import numbers
import operator
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsdata.errors import BadInput
from nsdata.schema import NO_LABEL, SPLITS
from nsdata.text import listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad\u200e\u200f"))
"""Characters that nobody sees, for ``str.translate``; joiners, which some scripts need, are none of them."""


def shown(value: object) -> str:
    """A value within a sentence: itself where it is a text or number, else what it is."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # a scalar of numpy's or torch's
        value = value.item()
    kind = type(value).__name__.replace("ndarray", "array")
    if value is None or kind in ("NAType", "NaTType") or isinstance(value, str | bytes | numbers.Number):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:59]}…"
    return f"{'an' if kind[:1] in 'AEIOUaeiou' else 'a'} {kind}"


def wrong(what: str, value: object, expected: str, hint: str = "") -> BadInput:
    """The error of a value of a wrong kind: "gen is '1'; a whole number was expected"."""
    return BadInput(f"{what} is {shown(value)}; {expected} was expected.", hint)


def whole_number(what: str, value: object) -> int:
    """An int of ours for what a caller gave: numpy's integers too, neither bool nor float. Raises BadInput."""
    if type(value) is int:
        return value
    if not isinstance(value, bool) and not str(getattr(value, "dtype", "")).endswith("bool"):
        with contextlib.suppress(TypeError):  # an array has __index__ as well
            return operator.index(value)  # type: ignore[arg-type]
    raise wrong(what, value, "a whole number")


def number(what: str, value: object, hint: str = "") -> float:
    """A float of ours, of any size, also infinite or NaN, for a real number that is no bool. Raises BadInput."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise wrong(what, value, "a number", hint)
    return float(value)


def flag(what: str, value: object) -> bool:
    """True or False, numpy's too; a text such as "no" would count as True. Raises BadInput."""
    if isinstance(value, bool):
        return value
    import numpy as np

    if not isinstance(value, np.bool_):
        raise wrong(what, value, "True or False")
    return bool(value)


def text(what: str, value: object, hint: str = "") -> str:
    """A text. Raises BadInput."""
    if not isinstance(value, str):
        raise wrong(what, value, "a text", hint)
    return str(value)


def path(what: str, value: object, hint: str = "") -> str:
    """A path as text: of a text or a pathlib.Path. Raises BadInput."""
    found = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(found, str) or not found.strip() or "\0" in found:  # "" would be the folder that one is in
        raise wrong(what, value, "a path", hint)
    return str(found)


def file_path(what: str, value: object) -> Path:
    """The same as a pathlib.Path."""
    return Path(path(what, value))


def split_name(what: str, value: object) -> str:
    """The name of a split. Raises BadInput."""
    if not isinstance(value, str):
        raise wrong(what, value, "one of 'train', 'val' and 'test'")
    if value not in SPLITS:
        raise BadInput(f"{what} '{value}' is unknown; there are {', '.join(SPLITS)}.")
    return str(value)


def listing(what: str, values: object, of: str, hint: str = "", *, ordered: bool = True) -> list[Any]:
    """The items of a list, or of what is like one: a tuple, an array, a column of pandas.

    A text or bytes, which would be taken letter by letter, a mapping, of which keys or values may be meant, and where
    the order counts a set are refused. of: what it should hold, for the message. Raises BadInput.
    """
    if isinstance(values, str | bytes):
        raise BadInput(f"{what} is the one text {shown(values)}; a list of {of} was expected.", hint)
    if ordered and isinstance(values, set | frozenset):
        raise BadInput(f"{what} is a set, which has no order; a list of {of} was expected.", hint)
    if isinstance(values, Mapping) or getattr(values, "ndim", 1) != 1 or not isinstance(values, Iterable):
        raise wrong(what, values, f"a list of {of}", hint)
    return list(values)


def pairs(what: str, values: object, of: str, hint: str = "") -> list[tuple[Any, Any]]:
    """(key, value) of a mapping, or of a column of pandas by its index. Raises BadInput."""
    if isinstance(values, Mapping) or (getattr(values, "ndim", 0) == 1 and hasattr(values, "items")):
        return list(values.items())
    raise wrong(what, values, of, hint)


def array(what: str, values: object) -> NDArray[Any]:
    """Numpy's array of what a caller gave. Raises BadInput where it makes none, and for values that are masked."""
    import numpy as np

    if isinstance(values, np.ma.MaskedArray) and (masked := int(np.count_nonzero(np.ma.getmaskarray(values)))):
        raise BadInput(f"{what} holds {masked:,} masked values, of which nothing is known.", "leave their rows out")
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        if hasattr(values, "detach"):  # torch's, on a GPU or with a gradient
            kind = str(getattr(values, "dtype", "")).removeprefix("torch.")
            plain = ".float()" if kind.startswith(("bfloat", "float8")) else ""  # numpy has no such numbers
            hint = f"tensor.detach().cpu(){plain}.numpy()"
            raise BadInput(
                f"{what} is a tensor{f' of {kind}' if plain else ''} that numpy cannot read.", hint
            ) from error
        raise BadInput(f"{what} cannot be one array: what is in it differs in shape.") from error


def row_numbers(what: str, values: object) -> NDArray[np.int64]:
    """(m,) int64 of whole numbers, no mask and no floats. Raises BadInput."""
    import numpy as np

    found = array(what, values)
    if found.ndim != 1 or (found.dtype.kind not in "iu" and found.size):
        raise BadInput(f"{what} has shape {found.shape} and dtype {found.dtype}; (m,) integers were expected.")
    return found.astype(np.int64, copy=False)


def image_id(value: object) -> str:
    """An image's id, or the beginning of one, as a caller gives it. Raises BadInput."""
    hints = {"bytes": "id_.hex()", "ndarray": "[bytes(id_).hex() for id_ in view.ids]"}
    return text("An image's id", value, hints.get(type(value).__name__, ""))


def alike(name: str) -> str:
    """A class name as it is compared with others: NFC, single blanks, nothing invisible, case folded."""
    return " ".join(unicodedata.normalize("NFC", name.translate(INVISIBLE)).split()).casefold()


def class_names(names: Sequence[str], hint: str) -> list[str]:
    """Names of classes that are to be added, stripped, in NFC, each once. Raises BadInput."""
    given = []
    for name in listing("classes", names, "names", hint):
        if isinstance(name, bool) or not isinstance(name, str | numbers.Integral):
            raise wrong("A class name", name, "a text")
        given.append(_class_name(unicodedata.normalize("NFC", str(name)).strip()))
    return list(dict.fromkeys(given))


def _class_name(name: str) -> str:
    if not name or any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in name):
        raise BadInput(f"A class name is empty or has characters that cannot be printed: {name!r}.")
    if (seen := name.translate(INVISIBLE)) != name:
        raise BadInput(f"The class name {name!r} has characters that nobody sees.", f"{seen!r}, without them")
    if len(name) > 200:
        raise BadInput(f"The class name {name[:40]!r}… is {len(name)} characters long; 200 are allowed.")
    return name


def checked_classes(classes: Sequence[str]) -> list[str]:
    """K ≥ 2 different, printable names, stripped; whole numbers are names too. Raises BadInput."""
    names = []
    for name in listing("classes", classes, "names", "classes=['cat', 'dog']"):
        if isinstance(name, bool) or not isinstance(name, str | numbers.Integral):
            raise wrong("A class name", name, "a text")
        names.append(str(name).strip())
    if len(names) < 2:
        raise BadInput(f"A store needs at least 2 classes; {len(names)} given.", "nsdata init --classes cat,dog,fox")
    for name in names:
        _class_name(name)
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise BadInput(f"Classes are named twice: {', '.join(double)}.")
    return names


def class_index(classes: Sequence[str], label: str | int | None) -> int:
    """The index of a class given by name, index, or None (no label, -1). Raises BadInput.

    A text that is a number is an index only where no class is named by a number.
    """
    if label is None or (isinstance(label, str) and not label):
        return NO_LABEL
    if isinstance(label, str):
        if label in classes:
            return list(classes).index(label)
        number = label.isascii() and label.isdecimal() and len(label) < 20
        if not number or any(name.isdecimal() for name in classes):  # where one is named by a number, none is a place
            raise BadInput(f"There is no class {shown(label)}; this store has {listed(classes)}.")
        index = int(label)
    else:
        try:
            index = whole_number("A label", label)
        except BadInput:  # also for NaN and pandas' NA: what is missing by accident takes no label away
            raise wrong("A label", label, "a class's name or index, or None for no label,") from None
    if not 0 <= index < len(classes):
        raise BadInput(f"There is no class {index}; this store has {len(classes)} classes, 0 to {len(classes) - 1}.")
    return index
