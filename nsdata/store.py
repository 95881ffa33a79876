"""Store: the front door. Verbs live in modules of their own; the methods here hand over to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nsdata.arguments import whole_number
from nsdata.versions.handle import Handle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nsdata.analysis.calibration import Calibration
    from nsdata.analysis.diff import Diff
    from nsdata.analysis.image import Card
    from nsdata.analysis.leaks import Leaks
    from nsdata.analysis.why import Why
    from nsdata.embeddings.embeddings import Embeddings
    from nsdata.importers.result import Imported
    from nsdata.labels.given import Given
    from nsdata.labels.labels import Labels
    from nsdata.maintenance.gc import Collected
    from nsdata.sql.sandbox import Result
    from nsdata.views.view import View

Split = Literal["train", "val", "test"]


class Store(Handle):
    """A store of images, people's labels and sealed generations of soft labels, at one version.

    ``Store.create`` and ``Store.open`` give the newest version, on which methods that change the store work and
    move on with it; ``store.at(version)`` gives the store as it was, read-only.
    """

    def _repr_html_(self) -> str:
        from nsdata.analysis.summary import summary
        from nsdata.text import to_html

        return to_html(summary(self))

    # ---------------------------------------------------------------- images in

    def add_folder(
        self, path: str | Path, *, split: Split | None = None, labelled: bool = True, **options: Any
    ) -> Imported:
        """Import a folder, tar, CSV, parquet or idx source; what it is shows from the path (see importers).

        split:    for all images; None = as the source says, "train" where it says nothing.
        labelled: False = labels in the source are not read.
        options:  strict, threads, format, on_progress (a bar by default); see ``ingest.ingest``. levels: what the
                  levels of folders are, "split/class"; first_label: 0 or 1, where labels are numbers; member: the
                  ending of the picture in WebDataset samples.

        Class and split are read by one rule for every source (docs/own-images.md); what it was is ``read_as``. One
        event, whole or not at all; a killed import continues when it is called again. Raises BadInput.
        """
        from nsdata.importers.ingest import import_source

        return import_source(self, path, split=split, labelled=labelled, **options)

    def add_arrays(
        self,
        images: NDArray[Any],
        labels: NDArray[Any] | None = None,
        *,
        split: Split | None = None,
        source: str = "array",
        **options: Any,
    ) -> Imported:
        """Import (N, H, W) or (N, H, W, 3) uint8 pixels, kept as PNG, with (N,) labels (-1 = none) or None.

        split: None is train; with ``move_splits`` only a split that is given moves images.
        Raises BadInput; also for (H, W, 3), which may be one picture (``images[None]``) or H grey ones.
        """
        from nsdata.importers.formats.arrays import items
        from nsdata.importers.ingest import ingest

        options = {"total": lambda: len(images), **options}
        return ingest(self, lambda: items(images, labels, split=split, source=source), source=source, **options)

    def add_items(self, items: Callable[[], Iterable[Any]], *, source: str, **options: Any) -> Imported:
        """Import what a function yields: ``importers.Item`` and ``importers.Skipped``, each call the same."""
        from nsdata.importers.ingest import ingest

        return ingest(self, items, source=source, **options)

    # ---------------------------------------------------------------- people

    def add_classes(self, names: Sequence[str]) -> int:
        """Append classes behind those that the store has. Returns the version.

        One event for all that it has not yet; none, and the version that the store has, where it has them all. It
        cannot be undone: labels may count on it. Generations and models of before know fewer classes, and say so:
        their soft labels give the others no probability, and such a model labels no more. Raises BadInput, also for a
        name that differs from a class in case, blanks or Unicode's forms alone.
        """
        from nsdata.maintenance.classes import add_classes

        return add_classes(self, names).version

    def relabel(self, labels: Mapping[str, str | int | None], *, by: str = "") -> int:
        """Record what a person says of images: {id, prefix or file name: class name, index, or None for no label}.

        A column of pandas with ids as its index does too. One event for all of them, none where every image is labelled
        so already (and, with ``by``, by that person). Returns the version, which is then the one that the store has.
        Raises NotFound, BadInput.
        """
        from nsdata.maintenance import edits

        return edits.relabel(self, labels, by=by).version

    def remove(self, images: Sequence[str]) -> int:
        """Hide images (ids, unique prefixes or file names) from every later version. Returns the version.

        One event for all that are not removed already; none, and the version that the store has, where all of them are.
        Raises NotFound, BadInput; also for one id without a list around it.
        """
        from nsdata.maintenance import edits

        return edits.remove(self, images).version

    def move_split(self, images: Sequence[str], split: Split | Sequence[Split]) -> int:
        """Move images (ids, unique prefixes or file names) to another split: one for all, or for each.

        Returns the version.

        One event for all that are not in it already; none, and the version that the store has, where all of them are.
        Earlier versions keep what they had; views, models and generations that used such an image say that it moved,
        and no model is trained on a view that holds what is a test image now. Raises NotFound, BadInput.
        """
        from nsdata.maintenance import edits

        return edits.move_split(self, images, split).version

    def tag(self, name: str, version: int | str | None = None) -> int:
        """Name a version (this one if none is given). Returns the store's version.

        Nothing is published where it has that name already, or where none is given and nothing but tags came after the
        version that has it. Raises Conflict for a name that another version has, BadInput, NotFound.
        """
        from nsdata.maintenance import edits

        return edits.tag(self, name, version)

    def undo(self, version: int | str | None = None) -> int:
        """Undo an event (None: the newest that counts). Returns the version. Raises Conflict, BadInput."""
        from nsdata.maintenance import undo

        return undo.undo(self, version)

    def gc(self, *, purge: bool = False, dry_run: bool = False, older_than_hours: float = 24.0) -> Collected:
        """Delete what no event names; with ``purge`` also what only the past shows, and hidden pictures for good."""
        from nsdata.maintenance import gc

        return gc.gc(self, purge=purge, dry_run=dry_run, older_than_hours=older_than_hours)

    # ---------------------------------------------------------------- generations

    def labels(self, gen: int) -> Labels:
        """The soft labels of a sealed generation: ``.soft (N, K) .confidence .pseudo .ids``. Raises GenerationError."""
        from nsdata.labels.labels import of_generation

        return of_generation(self, whole_number("gen", gen))

    def embeddings(self, name: str) -> Embeddings:
        """A model's vectors of the images: ``.vectors (n, D) .ids .rows .at(rows)``. Raises NotFound."""
        from nsdata.embeddings.embeddings import of_name

        return of_name(self, name)

    def add_soft_labels(
        self,
        gen: int,
        ids_or_sources: Sequence[str] | NDArray[Any],
        soft: NDArray[Any],
        *,
        teacher: Mapping[str, Any] | None = None,
        classes: Sequence[str] | None = None,
        **options: Any,
    ) -> Given:
        """Write generation ``gen`` from soft labels that somebody else made: sealed and tagged, without a model.

        ids_or_sources: (N,) whole ids, sources, or file names that are unique; or (N, 16) uint8 ids.
        soft:           (N, K) numbers, 0 to 1, each row with a sum of 1 within 1e-3 (2e-3 in float16).
        classes:        the names of its K columns; None: of a data frame its own, else the store's in their order.
        teacher:        facts that provenance keeps: {"name": "clip-vit-b32"}.
        options:        logits=True applies a softmax (at ``temperature``); top, max_kl, replace, extend as ``label``;
                        missing="uniform" gives images without a row every class alike, else the generation labels
                        them not; on_progress (a bar by default), on_note.

        The same given twice does nothing; a run that was killed continues. Raises BadLabels (shape, values, classes,
        two rows of an image that differ), BadInput (a name that several images have), GenerationError, Conflict.
        """
        from nsdata.importers.soft.give import arrays

        return arrays(self, gen, ids_or_sources, soft, teacher=teacher, classes=classes, **options)

    def add_soft_label_file(self, gen: int, path: str | Path, **options: Any) -> Given:
        """The same from a .parquet, .npz, .csv or .jsonl file, or an export of nsdata; options as add_soft_labels."""
        from nsdata.importers.soft.give import file

        return file(self, gen, path, **options)

    def publish_model(self, **facts: Any) -> int:
        """Record a trained model (see ``state.Model``): the teacher of the next generation. Returns the version.

        Raises BadInput where one of its facts is missing or cannot be.
        """
        from nsdata.maintenance import edits

        return edits.record_model(self, facts)

    # ---------------------------------------------------------------- looking

    def view(self, gen: int | None = None, *, select_gen: int | None = None) -> View:
        """All images, as the start of a view pinned to this version.

        gen:        the generation whose soft labels train; None = people's labels.
        select_gen: the generation whose confidence and pseudo-labels select (the paper selects once and relabels
                    the same set); default ``gen``.
        """
        from nsdata.views.view import View

        numbers = [None if g is None else whole_number("gen", g) for g in (gen, select_gen)]
        return View.start(self, *numbers)

    def load_view(self, name: str) -> View:
        """A saved view: the exact rows of the day it was saved. Raises NotFound, StoreDamaged."""
        from nsdata.views.saved import load

        return load(self.refresh(), name)

    def query(self, sql: str, timeout: float | None = 60.0) -> Result:
        """One SELECT over the table ``images``, read-only, within ``timeout`` seconds (None: any). Raises BadQuery."""
        from nsdata.sql.columns import query

        return query(self, sql, timeout)

    def diff(self, a: int | str, b: int | str) -> Diff:
        """What changed from version or tag ``a`` to ``b``. Raises NotFound."""
        from nsdata.analysis.sides import diff

        return diff(self, a, b)

    def image(self, image: str) -> Card:
        """All that is known of one image, by id, unique prefix or unique file name. Raises NotFound, BadInput."""
        from nsdata.analysis.image import card

        return card(self, image)

    def why(self, image: str, views: Sequence[str] | None = None) -> Why:
        """Why an image is in each saved view, or is not, and how often; and the labelled images nearest to it.

        views: names of some saved views; None: all of them, and what the published models learnt from. Of the image the
        same as ``image``. Raises NotFound, BadInput.
        """
        from nsdata.analysis.why import why

        return why(self, image, views)

    def calibration(self, gen: int, **options: Any) -> Calibration:
        """Whether a generation's confidence is to be believed, by labelled images that its teacher was not trained on.

        options: split, "val" or "test" (None: val, or what training held out; test images choose nothing); precisions,
        for each of which the lowest threshold is looked for ((0.9, 0.95)); bins (15). Raises GenerationError; BadInput
        where no image judges.
        """
        from nsdata.analysis.calibration import calibration

        return calibration(self, whole_number("gen", gen), **options)

    def leaks(self, *, within: bool = False, embeddings: str | None = None, **options: Any) -> Leaks:
        """Images of val and test that look like others in train, labelled or not, or in one another: near-duplicates.

        within:     also those within each split.
        embeddings: compare these vectors (``embeddings``); None: pictures, which are found again where they were
                    recompressed, resized, a little cropped, mirrored, made brighter or darker.
        options:    likeness, from which two count as the same (None: 0.85 of pictures, more where they look much
                    alike; of embeddings found from the data); on_progress (a bar by default).

        Raises NotFound, BadInput; StoreDamaged for a picture that cannot be decoded.
        """
        from nsdata.analysis.leaks import leaks

        return leaks(self, within=within, embeddings=embeddings, **options)

    def datasets(self, version: int | str | None = None) -> dict[str, Any]:
        """The read-only Deep Lake datasets behind a version, by name, for those who want them directly."""
        from nsdata.storage.engine import native

        state = (self.at(version) if version is not None else self).state
        names = [s.name for s in state.segments]
        names += [piece.name for g in state.generations.values() for piece in g.pieces]
        names += [piece.name for found in state.embeddings.values() for piece in found.pieces]
        return {name: native(f"{self.url}/{self._readers.looked_at(name)}") for name in names}
