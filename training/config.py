"""TrainConfig: every knob of training, one documented field each; in and out of TOML and JSON.

A run folder keeps the whole of it (``config.json``), so that "what was this trained with?" has an answer.
Defaults are the paper's (Xie et al., CVPR 2020) or its official code's where they win in short runs, too; where they
differ, the field says what the paper has, and the recipes named paper-… (training/recipes) have it all.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from nsdata.arguments import file_path, listing, wrong
from nsdata.arguments import text as checked_text
from nsdata.errors import BadInput
from training import config_checks, config_file, paper
from training.config_values import coerced, parsed

SHOW = 'python -c "from training import TrainConfig; help(TrainConfig)"'


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class TrainConfig:
    """How one model is trained. Raises BadInput, naming the field, its value and what is allowed.

    None and "auto" are filled in by ``train``, by the rules of training/defaults.py.
    """

    model: str = "efficientnet_b0"
    """Any timm name, or ours: wrn_10_1 … wrn_28_10 (32-px images), efficientnet_l0, efficientnet_l1,
    efficientnet_b0_small."""

    model_args: dict[str, Any] = field(default_factory=dict)
    """Extra arguments for timm.create_model, such as {img_size = 64} for a ViT."""

    pretrained: bool | str = False
    """Start from timm's published weights (true: downloads them), or from weights on disk: the path of a .safetensors,
    .pth or .bin file of this model, whose classifier is left fresh where it is of other classes. The paper trains
    every student from scratch."""

    init: Literal["scratch", "teacher"] = "scratch"
    """teacher: a student begins with the weights of the teacher whose soft labels it learns, which must be of its own
    model (a warm start). The paper's finding 8: from scratch is better. scratch: weights of the seed and the
    generation, so that a student never begins as its teacher began."""

    freeze: int | Literal["none", "backbone"] = "none"
    """What keeps the weights that it began with: backbone, all but the classifier; or a number of first stages, and
    the stem before them. Batch statistics there stay, dropout and stochastic depth there are off; images are noised as
    ever. Needs weights that know something: pretrained, or init = "teacher"."""

    image_size: int | Literal["paper"] | None = None
    """Side of the square input in pixels. None: the model's own; "paper": what the paper trains this EfficientNet at
    (training/paper.py), which for B2 to B5 and L2 is not timm's."""

    crop_pct: float | Literal["paper"] | None = None
    """Share of the resized picture, by its side, that is seen without noise: in validation, as teacher, and by crops
    "pad" and "none". None: the model's own; "paper": size / (size + 32), the official margin."""

    bn_eps: float | None = None
    """Added to the variance in every batch normalisation. None: the model's own. Official: 1e-3 (timm: 1e-5)."""

    bn_momentum: float | None = None
    """Share of a batch in batch normalisation's running statistics. None: the model's own. Official: 0.01 (TensorFlow's
    0.99; timm: 0.1)."""

    batch_size: int = 64
    """Labelled images per step. The paper: 2,048."""

    ratio: int = 3
    """Unlabelled images per labelled image in a step. The paper: 3 for B1-B7, 14 and 28 for L2."""

    labelled: bool = True
    """False: a student learns its soft labels alone; a step has ratio × batch_size images then. Followed by a run with
    pretrained = its best.pt it is the pre-training and fine-tuning of the paper's finding 6."""

    probe: bool = False
    """Fit the classifier alone, by logistic regression on the features of ``pretrained`` (training/probing.py)."""

    steps: int | None = None
    """Optimiser steps. None: as many as epochs and passes take, and 1,000 at least."""

    epochs: float = 100.0
    """Passes over the *labelled* images, as in the paper (350; 700 up to B4). Not used if steps is set."""

    passes: float = 10.0
    """Passes over the soft-labelled images, at least. Not used if steps is set."""

    optimiser: Literal["sgd", "rmsprop", "adamw"] = "sgd"
    """sgd (Nesterov), rmsprop (TensorFlow's, decay 0.9, epsilon 1e-3: the official code's), or adamw."""

    lr: float | None = None
    """Peak learning rate, not scaled by anything. None: by optimiser. Official: 0.016 per 256 labelled (rmsprop)."""

    head_lr: float | None = None
    """Peak learning rate of the classifier, on the same schedule. None: lr."""

    layer_decay: float = 1.0
    """Factor of the rate from each layer to the one before it, the classifier's being 1: with 0.75 the first layers of
    a pretrained ViT nearly stay (BEiT, arXiv 2106.08254). 1: one rate for all."""

    momentum: float = 0.9
    """Momentum of sgd and rmsprop; beta 1 of adamw."""

    weight_decay: float | None = None
    """On every parameter but those of normalisation layers. None: by optimiser. Official: 1e-5 (rmsprop), SVHN 1e-4."""

    schedule: Literal["cosine", "step"] = "cosine"
    """cosine to 0 over the run; or step: times decay_rate every decay_epochs, the official staircase."""

    decay_epochs: float = 2.4
    """Epochs per stair of schedule 'step': 2.4 of 350, 4.8 of 700."""

    decay_rate: float = 0.97
    """Factor per stair of schedule 'step'."""

    warmup: float = 0.02
    """Share of all steps in which the rate rises linearly from 0 towards lr, in place of the schedule, whose clock
    runs meanwhile. Official: 5 epochs, of 350 or 700."""

    clip_norm: float = 0.0
    """Largest gradient norm; longer gradients are shortened to it. 0: off, as in the official code."""

    ema_decay: float | None = None
    """Averaging of weights and buffers, min(decay, (1 + n) / (10 + n)) at update n; the average is the model. None:
    over the last tenth of the run. Official: 0.9999 for 1e5 steps."""

    label_smoothing: float | None = None
    """Of people's labels, and of pseudo-labels if soft is "hard"; soft labels are never smoothed. None: by the length
    of the run. Official: 0.1."""

    soft: Literal["soft", "hard"] = "soft"
    """Learn a generation's probabilities, or only its pseudo-label: hard labels hurt when the teacher is unsure."""

    alignment: bool = False
    """Scale soft labels so that their classes are as frequent as people's: ReMixMatch's distribution alignment."""

    weighting: Literal["none", "softmatch"] = "none"
    """softmatch: soft-labelled images of less than the mean confidence count less (SoftMatch)."""

    mixup: float = 0.0
    """Alpha of mixing soft-labelled images with each other; the larger share is an image's own (MixMatch). 0: none."""

    consistency: float = 0.0
    """Weight of learning of a strong view what the student says of a weak one, where it is sure (FixMatch). 0: none."""

    loss: Literal["concat_mean", "sum_of_means", "labelled_normalised"] = "concat_mean"
    """How labelled and unlabelled losses add up; the paper states three (training/losses.py): the mean over the whole
    batch (section 3.1), the sum of two means (algorithm 1), or concat_mean times 1 + ratio (official code)."""

    noise: bool = True
    """Master switch. False: clean images, no dropout, no stochastic depth, whatever the fields below say: the
    control that shows what the noise is worth."""

    augmentation: Literal["sane", "official"] = "sane"
    """sane: the official operations kept to what changes a picture gently (training/randaugment.py). official: pixels,
    crops and order as in the official TensorFlow code, where bytes wrap (training/official.py). docs/augmentation.md
    has both in a table."""

    unlabelled_noise: bool = True
    """False: none of it for soft-labelled images, while labelled ones keep theirs: table 6 of the paper."""

    unlabelled_augmentation: bool = True
    """False: soft-labelled images are clean, as the teacher saw them; dropout and stochastic depth stay (table 6). The
    official flag for it, unl_aug, leaves them crop and flip."""

    randaugment_ops: int | None = None
    """Operations per image, drawn with replacement. 0: no RandAugment. None: by passes. The paper: 2."""

    randaugment_magnitude: float | None = None
    """Level, 10 being RandAugment's own scale, not clipped. None: by steps and passes. Official: B0-B1 none, B2 6, B3
    12, B4 15, B5 18, B6 24, B7 and L2 27."""

    translate_const: float | None = None
    """Pixels of the input that a translation moves per 10 levels of magnitude. None: sane a sixth of the side;
    official 100 px at the paper's size of the model, an eighth of the side for small images."""

    cutout_const: float | None = None
    """Pixels per 10 levels of half the side of RandAugment's own square. None: sane a fifteenth of the side; official
    40 px at the paper's size of the model, an eighth of the side for small images."""

    crop: Literal["resized", "pad", "none", "auto"] = "auto"
    """resized: random area and aspect, for photographs; pad: shift by up to an eighth of the side, reflected, for
    small images; none: as the teacher sees it. auto: pad up to 64 pixels, else resized."""

    crop_scale: tuple[float, float] = (0.08, 1.0)
    """Smallest and largest share of the image's area that crop 'resized' keeps."""

    flip: bool = True
    """Mirror half of the images left to right. Switch off where that changes the class: digits, text."""

    cutout: float = 0.0
    """Side of a grey square put at a random place, as a share of the image's side. Official SVHN: 0.5."""

    dropout: float | None = None
    """Drop rate of the final features. None: by the length of the run. The paper: 0.5; official B0-B7: 0.2 to 0.5. 0:
    none anywhere in the model, whatever its family's own default, but for rates that model_args name."""

    drop_path: float | None = None
    """Stochastic depth: *drop* rate of the last block, linear from 0 (the paper's survival 0.8 is 0.2 here). None: by
    the length of the run. 0: none, as with dropout."""

    val_fraction: float | None = None
    """Share of the labelled images, chosen by id, held out to validate on, if the store has no labelled val split.
    None: a tenth of 10,000 or more, nothing of fewer. 0: nothing."""

    keep: Literal["auto", "best", "last"] = "auto"
    """Which averaged weights are the model: those best on the validation images, or the last. auto: the best of 1,000
    validation images or more: of fewer the best is often the luckiest."""

    eval_every: int | None = None
    """Steps between validations. None: 20 times in a run."""

    checkpoint_seconds: float = 60.0
    """Seconds between two writes of resume.pt, with which a killed run goes on; it is also written at each validation
    and on Ctrl-C. About four times the model's size; no effect on what is learnt."""

    amp: bool = True
    """bfloat16 arithmetic on a GPU; no effect elsewhere."""

    channels_last: bool = True
    """Channels-last memory on a GPU, faster with amp; no effect elsewhere."""

    cpu_bf16: bool = False
    """bfloat16 and channels-last memory on a CPU: half the time a step with AVX-512 BF16 or AMX; slow without them."""

    seed: int = 0
    """Of initial weights (with the generation), order, crops, noise. Same seed and machine: same losses on a CPU."""

    threads: int = 0
    """CPU threads of torch while training. 0: leave torch's own choice."""

    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            object.__setattr__(self, name, coerced(name, kind, getattr(self, name)))
        config_checks.check(self)

    @property
    def side(self) -> int | None:
        """Of the input in pixels: ``image_size`` as a number; None: the model's own."""
        return paper.size(self.model) if self.image_size == "paper" else self.image_size

    def __repr__(self) -> str:
        """As it is written in Python: what differs from the defaults."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        usual: dict[str, Any] = {f.name: {} if f.name == "model_args" else f.default for f in fields(self)}
        return f"TrainConfig({', '.join(f'{name}={v!r}' for name, v in given.items() if v != usual[name])})"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """From a dict such as to_dict() gives; absent fields take their defaults. Raises BadInput."""
        if not isinstance(values, Mapping):
            raise wrong("The configuration", values, "a mapping of settings", "TrainConfig.from_dict({'steps': 300})")
        for name in values:
            if name not in _KINDS:
                close = difflib.get_close_matches(str(name), _KINDS, n=1, cutoff=0.4)
                near = f"the closest is '{close[0]}'" if close else "none is close"
                raise BadInput(f"Training has no setting '{name}'; {near}.", SHOW)
        return cls(**values)

    @classmethod
    def load(cls, path: str | Path) -> TrainConfig:
        """From a .toml or .json file; of a run's config.json its "config" is taken. Raises BadInput."""
        return cls.from_dict(config_file.read(file_path("path", path)))

    def save(self, path: str | Path) -> None:
        """To a .toml or .json file that load() reads back as an equal config."""
        config_file.write(file_path("path", path), self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Every field as a plain JSON value."""
        values = {name: getattr(self, name) for name in _KINDS}
        return {**values, "model_args": dict(self.model_args), "crop_scale": list(self.crop_scale)}

    def replace(self, **changes: Any) -> TrainConfig:
        """A copy with some fields changed. Raises BadInput."""
        return type(self).from_dict({**self.to_dict(), **changes})

    def with_settings(self, settings: Iterable[str]) -> TrainConfig:
        """A copy with texts applied, read by the field's type: "lr=0.1", "crop_scale=[0.3, 1]". Raises BadInput."""
        changes: dict[str, Any] = {}
        for setting in listing("settings", settings, "texts", "config.with_settings(['lr=0.1'])"):
            name, equals, text = checked_text("A setting", setting).partition("=")
            if not equals:
                raise BadInput(f"The setting '{setting}' has no '='.", f"--set {name or 'lr'}=VALUE")
            changes[name.strip()] = parsed(_KINDS.get(name.strip(), str), text.strip())
        return self.replace(**changes)


_KINDS: dict[str, Any] = typing.get_type_hints(TrainConfig)
