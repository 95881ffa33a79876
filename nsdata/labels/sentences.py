"""What people read of a generation: who wrote its labels, from what it was taught, how, when and by which code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nsdata.arithmetic.intervals import val_text
from nsdata.log.state import Generation
from nsdata.storage.address import absolute, near
from nsdata.text import Rows, listed, visible


def generation_rows(generation: Generation, url: str) -> Rows:
    """(subject, sentence) of one generation, as ``nsdata show --gen`` prints them; JSON has every value as it is.
    url: of the store, from which its paths are seen.

    Provenance comes from whoever wrote the log: what is missing, or of another shape, is left out.
    """
    facts, rows = generation.provenance, [("generation", _sealed(generation))]
    several = facts.get("teachers")
    rows += [("labels", _labels(generation)), ("teacher", _several(facts) if several else _teacher(facts, url))]
    for number, one in enumerate((several or [])[:_MOST], 1):
        rows += [(f"teacher {number}", _teacher(one, url)), ("classes", _classes(one))]
        rows += [("trained", _training(one.get("teacher_config"))), ("images", _seen(one, facts))]
    if not several:
        rows += [("classes", _classes(facts)), ("trained", _training(facts.get("teacher_config")))]
        rows += [("images", _seen(facts, facts))]
    rows += [
        ("computed", _computed(facts)),
        ("written", _written(facts)),
    ]
    return [(subject, sentence) for subject, sentence in rows if sentence]


def stale_remark(generation: Generation) -> str:
    """Behind the line of a generation that is stale."""
    return " · stale: an earlier generation was sealed again" if generation.stale else ""


def _sealed(generation: Generation) -> str:
    when = _time(generation.provenance.get("sealed"))
    return (
        f"{generation.number}, sealed as version {generation.event}{when and f' on {when}'}{stale_remark(generation)}"
    )


def _labels(generation: Generation) -> str:
    s = generation.summary
    parts = [f"{generation.rows:,} images of version {generation.version}"]
    if _number(s.get("confidence_mean")):
        parts.append(f"confidence mean {s['confidence_mean']:.2f}")
    parts += [f"{s[key]:,} {sign}" for key, sign in (("at_least_0.9", "≥ 0.9"), ("below_0.3", "< 0.3")) if key in s]
    if _number(s.get("kl_mean")):
        parts.append(f"mean KL {s['kl_mean']:.4f} nats to the dense soft labels")
    return " · ".join(parts)


def given_sentence(facts: Mapping[str, Any]) -> str:
    """Of a generation whose soft labels somebody gave: from what, and what is known of who made them."""
    found = facts.get("given")
    given: dict[str, Any] = dict(found) if isinstance(found, Mapping) else {}
    source = f"a file, {given['file']}" if isinstance(given.get("file"), str) else "arrays"
    parts = [f"given by {source}, sha256 {facts.get('given_sha256')}"]
    parts += [f"{given['rows']:,} rows"] if isinstance(given.get("rows"), int) else []
    parts += ["logits"] if facts.get("given_as") == "logits" else []
    parts += [f"classes {given['classes']}"] if isinstance(given.get("classes"), str) else []
    if _number(given.get("filled")) and given["filled"]:
        parts.append(f"{given['filled']:,} images without a row have every class alike")
    if isinstance(given.get("origin"), str):
        parts.append(given["origin"])
    if isinstance(teacher := given.get("teacher"), Mapping):
        parts += [f"{key} {value}" for key, value in list(teacher.items())[:8] if not isinstance(value, dict | list)]
    return visible(" · ".join(parts))


def origin(facts: Mapping[str, Any], gen: int, store: str, version: int) -> str:
    """Of a generation that leaves its store: where it is from, and who wrote it."""
    if "given_sha256" in facts:
        who = f"labels that were given, sha256 {str(facts['given_sha256'])[:12]}"
    else:
        who = f"{facts.get('model', 'a teacher')}, sha256 {str(facts.get('teacher_sha256', 'unknown'))[:12]}"
    return f"generation {gen} of store {store[:8]} at version {version}, by {who}"


def _several(facts: Mapping[str, Any]) -> str:
    """Of a generation that several teachers wrote together."""
    return f"the mean of the probabilities of {len(facts['teachers'])} · sha256 {facts.get('teacher_sha256')} of theirs"


def _teacher(facts: Mapping[str, Any], url: str) -> str:
    if "given_sha256" in facts:
        return given_sentence(facts)
    number, event = facts.get("teacher_generation"), facts.get("teacher_event")
    who = f"model {number}, published as version {event}" if event is not None else "a model from elsewhere"
    size = f" of {facts['teacher_parameters']:,} parameters" if isinstance(facts.get("teacher_parameters"), int) else ""
    parts = [f"{who}: {facts.get('model', 'unknown')}{size}"]
    if "teacher_val_accuracy" in facts:
        parts.append(val_text(facts["teacher_val_accuracy"], facts.get("teacher_val_images")))
    parts += [near(absolute(url, str(facts["teacher"])))] if facts.get("teacher") else []
    parts += (
        [f"sha256 {facts['teacher_sha256']}{_OF.get(str(facts.get('teacher_sha256_of')), '')}"]
        if facts.get("teacher_sha256")
        else []
    )
    return " · ".join(parts)


_MOST = 20  # of several teachers, that are told one by one
_OF = {"weights": " of its weights", "answers": " of its answers to fixed images"}  # else of its file


def _classes(facts: Mapping[str, Any]) -> str:
    """Which outputs of a teacher from elsewhere are which class, where that was not a matter of course."""
    taken, notes = facts.get("class_map"), facts.get("teacher_notes")
    parts = []
    if isinstance(taken, Mapping):
        by_number = {
            name: sorted(outputs.items(), key=lambda one: (len(one[0]), one[0]))
            for name, outputs in taken.items()
            if isinstance(outputs, Mapping)
        }
        of = {name: [theirs for _, theirs in outputs] for name, outputs in by_number.items()}
        parts = [f"{name} from {listed([str(one) for one in outputs], 4)}" for name, outputs in of.items()]
    more = len(parts) - 10
    parts = [*parts[:10], *([f"{more:,} more"] if more > 0 else [])]
    return " · ".join([*parts, *(str(note) for note in notes)] if isinstance(notes, list) else parts)


def _training(config: object) -> str:
    """What of a training configuration decides most; the run folder's config.json has all of it."""
    if not isinstance(config, Mapping):
        return ""
    c: dict[str, Any] = dict(config)
    long = f"{c['steps']:,} steps" if isinstance(c.get("steps"), int) else f"{c.get('epochs', '?')} epochs"
    parts = [
        f"{long}, batches of {c.get('batch_size', '?')}, {c.get('optimiser', '?')}, learning rate {c.get('lr', '?')}"
    ]
    if c.get("noise") is False:
        parts.append("no noise")
    else:
        augment = c.get("randaugment_ops")
        strength = c.get("randaugment_magnitude")
        kind = "official " if c.get("augmentation") == "official" else ""
        noise = [f"{kind}RandAugment {augment} × {strength:g}" if augment and _number(strength) else ""]
        noise += [f"{word} {c[key]:g}" for key, word in _NOISE.items() if _number(c.get(key)) and c[key]]
        parts.append("noise: " + (", ".join(filter(None, noise)) or "flips and crops alone"))
    parts += [sentence for key, sentence in _LEFT_OUT.items() if c.get(key) is False]
    if _number(c.get("ema_decay")) and c["ema_decay"]:
        parts.append(f"weights averaged with decay {c['ema_decay']:g}")
    if c.get("pretrained"):
        digest = f" (sha256 {c['pretrained_sha256']})" if c.get("pretrained_sha256") else ""
        begun = c["pretrained"] if isinstance(c["pretrained"], str) else "published weights"
        parts.append(f"begun from {begun}{digest}")
    if c.get("init") == "teacher":
        digest = f" (sha256 {c['init_sha256']})" if c.get("init_sha256") else ""
        parts.append(f"begun from its own teacher's weights{digest}")
    return " · ".join([*parts, *_fine_tuned(c), f"seed {c.get('seed', '?')}"])


def _fine_tuned(c: Mapping[str, Any]) -> list[str]:
    """What stayed of the weights that training began with, and who learnt at another rate."""
    parts = []
    if c.get("freeze", "none") != "none":
        what = "backbone" if c["freeze"] == "backbone" else f"stem and first {c['freeze']} stages"
        parts.append(f"{what} frozen")
    if _number(c.get("head_lr")):
        parts.append(f"classifier at learning rate {c['head_lr']}")
    if _number(c.get("layer_decay")) and c["layer_decay"] != 1:
        parts.append(f"each layer at {c['layer_decay']:g} of the next one's")
    return parts


_LEFT_OUT = {
    "labelled": "soft labels alone",
    "unlabelled_noise": "no noise for unlabelled images",
    "unlabelled_augmentation": "unlabelled images not augmented",
}
_NOISE = {"dropout": "dropout", "drop_path": "stochastic depth", "cutout": "cutout"}


def _seen(facts: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """How a teacher saw pictures. run: facts of the run, which are the same where there was one teacher."""
    preprocess, noised = facts.get("preprocess"), run.get("noised_teacher")
    once = "each image and its mirror image, whose probabilities are averaged" if run.get("tta") else "each image once"
    if not isinstance(preprocess, Mapping):
        return ""
    p: dict[str, Any] = dict(preprocess)
    if "function" in p:
        return f"{once}, without noise, as a function makes them: {p['function']}"
    how = "without noise" if noised is None else f"with the noise of the teacher's training (seed {noised})"
    crop = f"{p.get('crop_mode', '?')} crop of {p.get('crop_pct', '?')}"
    return f"{once}, {how}, at {p.get('image_size', '?')} pixels: {p.get('interpolation', '?')}, {crop}"


def _computed(facts: Mapping[str, Any]) -> str:
    device, name = facts.get("device"), facts.get("device_name")
    parts = [f"on {device}" + (f" ({name})" if name and name != device else "")] if device else []
    parts += [f"in {facts['precision']}"] if facts.get("precision") else []
    parts += [f"batches of {facts['batch_size']}"] if facts.get("batch_size") else []
    if _number(facts.get("temperature")) and facts.get("given_as") != "probabilities":
        parts.append(f"softmax at temperature {facts['temperature']:g}")
    parts += [f"kept as {facts['codec']}"] if facts.get("codec") else []
    return " · ".join(parts)


def _written(facts: Mapping[str, Any]) -> str:
    began, ended, libraries = _time(facts.get("began")), _time(facts.get("sealed")), facts.get("libraries")
    parts = [f"{began} to {ended}"] if began and ended else []
    parts += [f"on {facts['host']}"] if facts.get("host") else []
    code = facts.get("code")
    if isinstance(code, Mapping) and code.get("commit"):
        parts.append(f"commit {str(code['commit'])[:12]}" + (" with changes" if code.get("dirty") else ""))
    versions = [f"{name} {version}" for name, version in libraries.items()] if isinstance(libraries, Mapping) else []
    versions += [f"Python {facts['python']}"] if facts.get("python") else []
    return " · ".join([*parts, *([listed(versions, 12)] if versions else [])])


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _time(value: object) -> str:
    """2026-11-28 19:37:19 UTC"""
    return f"{value[:19].replace('T', ' ')} UTC" if isinstance(value, str) and len(value) >= 19 else ""
