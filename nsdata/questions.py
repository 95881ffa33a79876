"""Questions to a store, one line each: views, queries, diffs, images. They hand over to modules of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsdata.arguments import whole_number
from nsdata.versions.handle import Handle

if TYPE_CHECKING:
    from nsdata.analysis.calibration import Calibration
    from nsdata.analysis.diff import Diff
    from nsdata.analysis.image import Card
    from nsdata.analysis.issues import Issues
    from nsdata.analysis.leaks import Leaks
    from nsdata.analysis.view_diff import ViewDiff
    from nsdata.analysis.why import Why
    from nsdata.report.report import Report
    from nsdata.report.sheet import Sheet
    from nsdata.sql.sandbox import Result
    from nsdata.views.view import View


class Questions(Handle):
    """What can be asked of a store at one version; nothing here changes it."""

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

    def diff(self, a: int | str, b: int | str, **options: Any) -> Diff:
        """What changed from version or tag ``a`` to ``b``.

        options: deep=True adds how far confidences moved, who became sure (sure=0.9), entropies, stability over three
        generations and more, and whether the teacher is collapsing; other: the store that ``b`` is of, with the same
        images and classes. Raises NotFound, BadInput.
        """
        from nsdata.analysis.sides import diff

        return diff(self, a, b, **options)

    def diff_views(self, a: str, b: str) -> ViewDiff:
        """Which images entered or left from one saved view to another, and which step did it. Raises NotFound."""
        from nsdata.analysis.view_diff import diff_views

        return diff_views(self.refresh(), a, b)

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

        return why(self.refresh(), image, views)

    def sheet(self, images: Sequence[str] | None = None, **options: Any) -> Sheet:
        """A contact sheet, to look at in a notebook or to ``save`` as .png or .html: images by id or file name, or else

        view, the name of a saved one or a View; query, SQL that gives a column id; diff, two versions whose flips are
        shown, and flow, (old, new), those of two classes alone; leaks, the answer of ``leaks``, whose pairs stand side
        by side. limit: images at most (60). Raises NotFound, BadInput.
        """
        from nsdata.report.sheet import sheet

        return sheet(self, images, **options)

    def report(self, path: str | Path | None = None, *, overwrite: bool = False) -> Report:
        """A page on the whole store, to look at in a notebook or to ``save`` as one .html that needs no network, or as

        one .png: what matters most, generations with their scores, calibration, what changed, views, pictures, checks,
        provenance. path: where it is saved right away. ``to_dict`` has its numbers. Raises BadInput, Conflict,
        StorageFailed.
        """
        from nsdata.report.report import report

        return report(self, path, overwrite=overwrite)

    def calibration(self, gen: int, **options: Any) -> Calibration:
        """Whether a generation's confidence is to be believed, by labelled images that its teacher was not trained on.

        options: split, "val" or "test" (None: val, or what training held out, else test, whose images choose nothing);
        precisions, for each of which the lowest threshold is looked for ((0.9, 0.95)); bins (15). Raises
        GenerationError; BadInput where no image judges.
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

    def issues(self, **options: Any) -> Issues:
        """Labels by people that are probably wrong, the most doubtful first, judged by what has not learnt them.

        options: embeddings, the name of some, of which a probe judges each image without having seen its label; or gen,
        a generation, which judges the images that its teacher has not learnt from (None: embeddings of every labelled
        image, else the newest generation). split; limit; in_sample=True lets it judge what it has learnt, too. Raises
        BadInput where nothing judges, NotFound, GenerationError.
        """
        from nsdata.analysis.issues import issues

        return issues(self, **options)

    def datasets(self, version: int | str | None = None) -> dict[str, Any]:
        """The read-only Deep Lake datasets behind a version, by name, for those who want them directly."""
        from nsdata.storage.engine import native

        state = (self.at(version) if version is not None else self).state
        names = [s.name for s in state.segments]
        names += [piece.name for g in state.generations.values() for piece in g.pieces]
        names += [piece.name for found in state.embeddings.values() for piece in found.pieces]
        return {name: native(f"{self.url}/{self._readers.looked_at(name)}") for name in names}
