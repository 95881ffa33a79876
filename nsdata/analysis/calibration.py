"""Whether a generation's confidence is to be believed, by people's labels of images that did not teach it.

Legend: N such images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import listing, number, whole_number
from nsdata.arithmetic import calibration as thresholds
from nsdata.arithmetic import reliability
from nsdata.arithmetic.intervals import Interval, accuracy_text, signed
from nsdata.arithmetic.reliability import Bin
from nsdata.errors import BadInput
from nsdata.labels.labels import of_generation
from nsdata.text import InLines
from nsdata.views.precision import USUAL, Judges, judges, test_judges

if TYPE_CHECKING:
    from nsdata.labels.labels import Labels
    from nsdata.versions.handle import Handle

Array = NDArray[Any]

SMALLEST = 2.0**-25
"""Half the smallest number of float16: a stored 0 was at most this."""

WRONG = 0.05  # a calibration error that matters

_VALUES = 1 << 18  # numbers in memory

FEW = 200  # images: with fewer, each of the 15 bins has about a dozen


@dataclass(frozen=True, slots=True)
class Measure:
    """A number and its 95 % interval. chance: of a perfectly reliable teacher on as many images; None where it is 0."""

    value: float
    interval: Interval
    chance: float | None = None


@dataclass(frozen=True, repr=False)
class Calibration(InLines):
    """The answer of ``Store.calibration``.

    what: "val", "held-out" (train images that training held out) or "test". taught: images that are left out, as they
    taught the teacher before they were moved. bins: of equal width, bins_of_mass: of equal numbers of images.
    ece, ece_of_mass: 0 to 1; brier: 0 to 2; log_loss: nats, lost: images whose label's probability was too small to be
    stored, and counts with the largest that it can have been. overconfidence: mean confidence − accuracy.
    temperature: that makes the soft labels the likeliest for the labels; after: the calibration error with it, on the
    same images. kept: what thresholds keep of the images without a person's label. wanted: precision -> the lowest
    threshold that reaches it, None where none does. temperature, after, kept and wanted are None and empty of test
    images: they choose nothing.
    """

    gen: int
    what: str
    images: int
    taught: int
    right: int
    bins: list[Bin]
    bins_of_mass: list[Bin]
    ece: Measure
    ece_of_mass: Measure
    brier: Measure
    log_loss: Measure
    lost: int
    overconfidence: float
    temperature: float | None = None
    after: float | None = None
    kept: list[thresholds.Kept] = field(default_factory=list)
    wanted: dict[float, float | None] = field(default_factory=dict)

    @property
    def believable(self) -> bool:
        """False where the calibration error is above 5 %, and above twice what chance alone gives."""
        error = self.ece.value
        return not (error > WRONG and error > 2 * (self.ece.chance or 0.0))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        plain = asdict(self)
        for name in ("bins", "bins_of_mass"):
            plain[name] = [
                {**bin_._asdict(), "accuracy": bin_.accuracy, "interval": list(bin_.interval)}
                for bin_ in getattr(self, name)
            ]
        plain["kept"] = [{**k._asdict(), "precision": k.precision, "interval": list(k.interval)} for k in self.kept]
        return {**plain, "wanted": [{"precision": p, "threshold": t} for p, t in self.wanted.items()]}

    def lines(self) -> list[tuple[str, str]]:
        """The rows of ``nsdata calibration``: (word, text)."""
        few = ": too few to tell much" if self.images < FEW else ""
        taught = f", {self.taught:,} more taught it before they were moved" if self.taught else ""
        points = signed(100 * self.overconfidence)
        sure = f"{'over' if points[0] == '+' else 'under'}-confident by {points[1:]} points"
        lost = f"; of {self.lost:,} images the label's probability was too small to be stored" if self.lost else ""
        out = [
            ("judged by", f"{self.images:,} {self.what} images{few}{taught}"),
            ("right", accuracy_text(self.right, self.images)),
            ("confidence", "as sure as it is right" if points == "0.0" else sure),
            ("calibration error", f"{_percent(self.ece)}"),
            ("  bins of one size", f"{_percent(self.ece_of_mass)}"),
            ("Brier score", _number(self.brier)),
            ("log loss", f"{_number(self.log_loss)} nats{lost}"),
        ]
        if self.temperature is not None and self.after is not None:
            before, after = (f"{100 * error:.1f}" for error in (self.ece.value, self.after))
            is_it = "" if float(after) < float(before) else ", no better" if after == before else ", worse"
            change = f"calibration error {before} → {after} % of these very images{is_it}"
            out.append(("temperature", f"{self.temperature:g}: {change}"))
        if self.what == "test":
            out.append(("thresholds", "none: test images choose none, labelled val images do"))
        for precision, threshold in self.wanted.items():
            text = "no threshold reaches it" if threshold is None else f"confidence ≥ {threshold:.6g}"
            out.append((f"right for {100 * precision:g} %", text))
        return out


def calibration(
    store: Handle, gen: int, *, split: str | None = None, precisions: tuple[float, ...] = (0.9, 0.95), bins: int = 15
) -> Calibration:
    """See Store.calibration."""
    bins = whole_number("bins", bins)
    if not 2 <= bins <= 100:
        raise BadInput(f"bins is {bins}; 2 to 100 were expected.")
    given = listing("precisions", precisions, "numbers", "store.calibration(1, precisions=(0.9,))")
    wanted = [number("A precision", p, "store.calibration(1, precisions=(0.9,))") for p in given]
    if wrong := [p for p in wanted if not 0 < p <= 1]:
        raise BadInput(f"A precision of {wrong[0]:g} cannot be; above 0, up to 1 was expected.", "--precision 0.9")
    if split not in (None, "val", "test"):
        raise BadInput(f"split is {split!r}; val or test was expected: train images taught the teacher.")
    labels, known = of_generation(store, gen), _judges(store, gen, split)
    if not len(known.rows):
        more = f"; {known.taught:,} taught its teacher before they were moved there" if known.taught else ""
        raise BadInput(
            f"No labelled {known.what} image judges generation {gen}{more}.",
            "nsdata import FOLDER --split val, or label them: nsdata relabel IMAGE CLASS",
        )
    return _measured(store, labels, known, wanted, bins)


def _judges(store: Handle, gen: int, split: str | None) -> Judges:
    """Those that may choose a threshold, where there are any; else, unless val was asked for, test images."""
    if split == "test":
        return test_judges(store, gen)
    known = judges(store, gen)
    if len(known.rows) or split == "val":
        return known
    test = test_judges(store, gen)
    return test if len(test.rows) else known


def _measured(store: Handle, labels: Labels, known: Judges, wanted: list[float], bins: int) -> Calibration:
    right_N, sure_N = known.right, known.confidence.astype(np.float64)
    brier_N, likelihood_N, lost_N = _by_row(store, labels, known.rows)
    measured = Calibration(
        gen=labels.gen,
        what=known.what,
        images=len(known.rows),
        taught=known.taught,
        right=int(right_N.sum()),
        bins=reliability.bins_of_width(sure_N, right_N, bins),
        bins_of_mass=reliability.bins_of_mass(sure_N, right_N, bins),
        ece=_error(sure_N, right_N, lambda sure, right: reliability.expected_error(sure, right, bins)),
        ece_of_mass=_error(sure_N, right_N, lambda sure, right: reliability.error_by_mass(sure, right, bins)),
        brier=_mean(brier_N),
        log_loss=_mean(reliability.log_loss(likelihood_N)),
        lost=int(lost_N.sum()),
        overconfidence=float(sure_N.mean() - right_N.mean()),
    )
    if known.what == "test":
        return measured
    pool = labels.all_confidence[store.table.visible & (store.table.label < 0)]
    temperature = _temperature(store, labels, known.rows)
    return replace(
        measured,
        temperature=temperature,
        after=None if temperature is None else _after(labels, known, temperature, bins),
        kept=[thresholds.kept(at, known.confidence, right_N, pool) for at in USUAL],
        wanted={p: thresholds.threshold_for(p, known.confidence, right_N) for p in wanted},
    )


def _blocks(labels: Labels, rows: Array, of: Array) -> Iterator[tuple[slice, Array]]:
    """Places among the rows, and of each probability of their soft labels what a table has, some rows at a time.

    of: (65536,) for each number that float16 has, by its bits: most probabilities are so small that computing with them
    takes ten times as long.
    """
    step = max(1, _VALUES // labels.known)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        yield part, of[labels.take(rows[part]).view(np.uint16)]


def _halves() -> Array:
    """(65536,) float64: the numbers of float16; those that no probability is are 0."""
    found = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    return np.where((found >= 0) & (found <= 1.001), found, 0.0)


def _by_row(store: Handle, labels: Labels, rows: Array) -> tuple[Array, Array, Array]:
    """(N,) Brier score, (N,) probability of the person's label, and (N,) bool: whether that is only a bound."""
    brier_N, likelihood_N, lost_N = np.empty(len(rows)), np.empty(len(rows)), np.empty(len(rows), np.bool_)
    for part, soft_nK in _blocks(labels, rows, _halves()):
        people_n = store.table.label[rows[part]]
        at_most_n = labels.codec.at_most(soft_nK[:, : labels.known], people_n)
        lost_N[part] = ~np.isnan(at_most_n)
        found_n = np.where(lost_N[part], at_most_n, soft_nK[np.arange(len(soft_nK)), people_n])
        likelihood_N[part] = np.maximum(found_n, reliability.LEAST)
        brier_N[part] = reliability.brier(soft_nK, people_n)
    return brier_N, likelihood_N, lost_N


def _temperature(store: Handle, labels: Labels, rows: Array) -> float | None:
    """Fitted to stored soft labels, to three digits; None where no image is of a class that the teacher knows, and
    where none is the likeliest: where all images are right it would be 0, which makes each soft label a hard one."""
    rows = rows[store.table.label[rows] < labels.known]
    if not len(rows):
        return None
    logs = np.log(np.maximum(_halves(), SMALLEST))
    fitted = thresholds.temperature_of(
        lambda: (
            (log_nK[:, : labels.known], store.table.label[rows[part]]) for part, log_nK in _blocks(labels, rows, logs)
        )
    )
    return float(f"{fitted:.3g}") if thresholds.COLDEST < fitted < thresholds.HOTTEST else None


def _after(labels: Labels, known: Judges, temperature: float, bins: int) -> float:
    """The calibration error with a temperature, which changes how sure a pseudo-label is, and not which it is."""
    sure_N, powers = np.empty(len(known.rows)), np.maximum(_halves(), SMALLEST) ** (1 / temperature)
    for part, power_nK in _blocks(labels, known.rows, powers):
        power_nK = power_nK[:, : labels.known]
        sure_N[part] = power_nK.max(1) / power_nK.sum(1)
    return reliability.expected_error(sure_N, known.right, bins)


def _error(sure_N: Array, right_N: Array, measure: Callable[[Array, Array], float]) -> Measure:
    order = np.argsort(sure_N, kind="stable")  # what is drawn of it is in order, too
    sure_N, right_N = sure_N[order], right_N[order]
    interval = reliability.bootstrapped(lambda at: measure(sure_N[at], right_N[at]), len(sure_N))
    return Measure(measure(sure_N, right_N), interval, reliability.by_chance(sure_N, measure))


def _mean(values_N: Array) -> Measure:
    return Measure(
        float(values_N.mean()), reliability.bootstrapped(lambda at: float(values_N[at].mean()), len(values_N))
    )


def _number(measure: Measure) -> str:
    return f"{measure.value:.3f} (95 %: {measure.interval.low:.3f} – {measure.interval.high:.3f})"


def _percent(error: Measure) -> str:
    low, high = (f"{100 * end:.1f}" for end in error.interval)
    chance = "" if error.chance is None else f"; by chance alone {100 * error.chance:.1f}"
    return f"{100 * error.value:.1f} % (95 %: {low} – {high}{chance})"
