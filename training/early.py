"""What can be known before a model is loaded, and is reported first: a mistake is not to wait for torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nsdata import Store
from nsdata.arguments import number, path, whole_number
from nsdata.errors import BadInput, GenerationError, ModelError
from nsdata.labels.codec import Codec
from nsdata.labels.eligibility import as_asked, check_order, unlabelled_rows
from nsdata.log.state import Generation
from nsdata.storage.address import absolute, checkpoint
from training import arguments, class_words, several
from training.config_values import is_device
from training.foreign import early as elsewhere
from training.foreign import kinds
from training.foreign.given import NOTHING, Given
from training.foreign.kinds import Kind
from training.run_folder import file_sha256, read_config
from training.validation import none_held_out


def check_label(
    store: Store,
    gen: int,
    teacher: Any | None = None,
    *,
    temperature: float = 1.0,
    batch_size: int = 256,
    device: str = "auto",
    top: int | None = None,
    noised_teacher: int | None = None,
    tta: str | None = None,
    max_kl: float = 0.05,
    replace: bool = False,
    extend: bool = False,
    said: Given = NOTHING,
    first: bool = True,
    dry_run: bool = False,
) -> Generation | None:
    """Raise what ``label`` raises of these arguments, as far as no model is needed to know it.

    Returns the sealed generation where it is the very one that is asked for, so that there is nothing to do: the same
    teacher weights, temperature, codec and batch size, the device's kind too unless it is "auto", and no image came in
    since. said: of a teacher from elsewhere. first: False for the workers that join another's run, which leave it to
    the first to refuse.
    """
    temperature, max_kl = arguments.temperature(temperature), number("max_kl", max_kl)
    if whole_number("batch_size", batch_size) < 1:
        raise BadInput(f"The batch size is {batch_size}; at least 1 was expected.", "--batch-size 256")
    if not max_kl >= 0:
        raise BadInput(f"The largest KL divergence is {max_kl:g}; 0 or more was expected.", "--max-kl 0.05")
    check_device(device)
    gen, codec = whole_number("gen", gen), Codec.of(top, len(store.classes))
    teachers = several.of(teacher)
    several.check_options(teachers, tta, noised_teacher)
    told = several.said_of(teachers, said)
    found = [elsewhere.check(one, of_it, store.classes) for one, of_it in zip(teachers, told, strict=True)]
    whole = gen in store.generations and not unlabelled_rows(store.state, store.generations[gen])
    if gen in store.generations and not replace and (not extend or whole):
        asked: dict[str, Any] = {"temperature": temperature, "codec": codec.name, "batch_size": batch_size}
        asked |= {"noised_teacher": noised_teacher, "tta": tta}
        if device != "auto":
            asked["device"] = device.partition(":")[0]
        if len(teachers) == 1:
            asked |= getattr(teachers[0], "identity", dict)()  # of a teacher from elsewhere
        try:
            digests = [_sha256(store, gen, one, kind) for one, kind in zip(teachers, found, strict=True)]
            sha256 = digests[0] if len(teachers) == 1 else several.sha256(digests)
            sealed = as_asked(store, gen, {"teacher_sha256": sha256, **asked})
            if any(kind is not None for kind in found):
                elsewhere.check_same(sealed, said)
            return sealed
        except GenerationError:
            if first:
                raise
    if first:
        check_order(store, gen, replace, extend)
        if not dry_run:
            store.writable()
    for one, kind in zip(teachers, found, strict=True):
        if kind is None and not hasattr(one, "sha256"):
            file, recorded = teacher_file(store, gen, one)
            if recorded is not None:
                check_weights(file, _hashed(file), recorded, gen)
            check_classes(file, store.classes)
    return None


def check_calibrate(store: Store, gen: int, teacher: Any | None, said: Given = NOTHING) -> None:
    """Raise what ``calibrate`` raises of this teacher of ``gen``, as far as no model is needed to know it."""
    from training import judges

    if elsewhere.check(teacher, said, store.classes) is not None:
        judges.to_calibrate(store, judges.of_others(store, judges.MOST))
        return
    file, _ = teacher_file(store, gen, teacher)
    facts, settings = read_config(file.parent), read_config(file.parent).get("config")
    if isinstance(settings, dict) and facts.get("sha256") == (sha256 := _hashed(file)):
        fraction = settings.get("val_fraction")
        if fraction is None or isinstance(fraction, float | int):
            judges.to_calibrate(store, judges.of_ours(store, sha256, fraction, judges.MOST))


def check_classes(file: Path, classes: Sequence[str], *, later: bool = False) -> None:
    """Raise ModelError for a checkpoint of other classes than these, as far as its run's folder knows it.

    later: classes that were added after it was trained are no matter.
    """
    facts = read_config(file.parent)
    mine, gen = facts.get("classes"), facts.get("generation")
    if not isinstance(mine, list) or mine == list(classes[: len(mine)] if later else classes):
        return
    if facts.get("sha256") == _hashed(file):
        class_words.check_classes(file, gen if isinstance(gen, int) else 0, mine, classes)


def nothing_to_label(store: Store, sealed: Generation) -> dict[str, Any]:
    """What ``teacher.estimate`` says of a generation that is sealed just as it is asked for."""
    facts = sealed.provenance
    teacher = absolute(store.url, str(facts["teacher"])) if facts.get("teacher") else facts.get("model", "unknown")
    return {"teacher": str(teacher), "images": 0, "bytes": 0, "seconds": 0.0}


def teacher_file(store: Store, gen: int, teacher: Any | None = None) -> tuple[Path, str | None]:
    """The checkpoint of generation ``gen``'s teacher, and the SHA-256 that it must have: the one given, which may be
    any; or that of the store's model gen - 1, which must be the file that was recorded. Raises ModelError."""
    if teacher is not None:
        place = getattr(teacher, "path", teacher)
        return model_file(path("teacher", place, "a model that train returned, or the path of its folder")), None
    recorded = store.models.get(gen - 1)
    if recorded is None:
        raise ModelError(
            f"Generation {gen} is written by model {gen - 1}, and this store has no such model yet.",
            f"nsdata train --gen {gen - 1}, or nsdata label --gen {gen} --teacher PATH",
        )
    file = checkpoint(store.url, recorded.path, recorded.sha256)
    if not file.exists():
        raise ModelError(
            f"Model {gen - 1} was trained into {file}, and nothing is there now.",
            f"nsdata label --gen {gen} --teacher PATH",
        )
    return file, recorded.sha256


def check_weights(file: Path, found: str, recorded: str, gen: int) -> None:
    """Raise ModelError where a checkpoint's SHA-256 is not the one that was recorded for the teacher of ``gen``."""
    if found != recorded:
        raise ModelError(
            f"{file} is not the file that was recorded for model {gen - 1}: sha256 {found[:8]}…, "
            f"{recorded[:8]}… was expected.",
            f"nsdata label --gen {gen} --teacher {file}   # if this is the teacher you want",
        )


def model_file(place: str | Path) -> Path:
    """The file of a checkpoint: itself, or best.pt in a run folder. Raises ModelError where there is none."""
    file = Path(path("A model's path", place))
    file = file / "best.pt" if file.is_dir() else file
    if not file.exists():
        raise ModelError(f"There is no model at {file}.", "nsdata train --gen 0, or give the path of a best.pt")
    return file


def check_held_out(place: str | Path) -> None:
    """Raise EmptyView where a run's folder says of its best.pt that it was not validated: then nothing was held out."""
    file = model_file(place)
    facts = read_config(file.parent)
    if facts.get("val_images", 0) is None and facts.get("sha256") == _hashed(file):
        raise none_held_out(f"the training of {file}")


def check_device(name: object, hint: str = "--device auto") -> None:
    """Raise BadInput for a text that can be no device's name, whatever this machine has."""
    if isinstance(name, str) and not is_device(name):
        raise BadInput(f"There is no device {name!r}; auto, cpu, cuda, cuda:1 or mps was expected.", hint)


def _sha256(store: Store, gen: int, teacher: Any | None, kind: Kind | None) -> str:
    """Of the weights that are asked to write a generation, wherever the file is by now. kind: of one from elsewhere."""
    if kind is not None:
        return kinds.sha256(kind)
    if teacher is not None:
        return str(getattr(teacher, "sha256", None) or _hashed(model_file(getattr(teacher, "path", teacher))))
    recorded = store.models.get(gen - 1)
    if recorded is None:
        raise GenerationError(
            f"Generation {gen} is sealed already, by a teacher of its own: this store has no model {gen - 1}.",
            f"nsdata show --gen {gen}",
        )
    return recorded.sha256


def _hashed(file: Path) -> str:
    try:
        return file_sha256(file)
    except OSError as error:
        raise ModelError(f"The model {file} cannot be read: {error.strerror}.", f"ls -l {file}") from error
