"""Define the config: one tree of values with defaults (the paper's), ranges and a meaning each."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from scdnet.losses import CROSS_DOMAIN_PAIRS, Domain

Stream = Literal["joint", "bone", "motion", "all"]
Level = Literal[1, 2, 3, 4]
Probability = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, le=1)]
ProperFraction = Annotated[float, Field(gt=0, lt=1)]
Milestones = tuple[Annotated[int, Field(ge=1)], ...]
Positives = Literal["sequence", "class"]
Protocol = Annotated[str, Field(pattern=r"^(knn|linear|finetune|semi@0?\.\d*[1-9]\d*)$")]
# YAML 1.1 reads `off` as false.
Off = BeforeValidator(lambda value: "off" if value is False else value)


def _check_distinct(values: tuple[object, ...]) -> tuple[object, ...]:
    if not values or len(set(values)) < len(values):
        raise ValueError("expected one or more distinct values")
    return values


Distinct = AfterValidator(_check_distinct)


def _check_stores(value: object) -> object:
    """Return `value`; a list of one store as that store. Raises ValueError for lists that fail."""
    if not isinstance(value, list | tuple):
        return value
    paths = [str(Path(path)) for path in value if isinstance(path, str | Path)]
    if not value or len(paths) < len(value):
        raise ValueError("expected a path or a list of paths")
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise ValueError(f"expected each store once, {twice} is listed twice")
    return value[0] if len(value) == 1 else value


def _check_shares(value: object) -> object:
    if isinstance(value, list | tuple) and not (value and all(map(_is_share, value))):
        raise ValueError("expected finite numbers greater than 0, one for each store")
    return value


def _is_share(value: object) -> bool:
    try:
        share = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool) and math.isfinite(share) and share > 0


def name_stores(stores: Sequence[str | Path]) -> tuple[str, ...]:
    """Return a name for each store: its file name without suffix, numbered if one repeats."""
    stems = [Path(store).stem for store in stores]
    if len(set(stems)) == len(stems):
        return tuple(stems)
    return tuple(f"{number}_{stem}" for number, stem in enumerate(stems, 1))


class Section(BaseModel):
    """A part of the tree: frozen, and closed to keys that it does not define."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ViewsConfig(Section):
    """The augmentations of a training view (docs/method.md 2)."""

    # The probability of a rotation, for each view.
    rotate_prob: Probability = 0.5
    # The probability of an exchange of left and right, for each view.
    flip_prob: Probability = 0.5
    # The probability of a shear, for each view.
    shear_prob: Probability = 0.5
    # The probability of the spatial mask, for each view.
    joint_mask_prob: Probability = 0.5
    # The probability of the temporal mask, for each view.
    frame_mask_prob: Probability = 0.5
    # The shortest crop, as a fraction of the sequence.
    min_crop_fraction: Fraction = 0.1
    # The shortest crop in frames; the longer of the two counts.
    min_crop_frames: int = Field(64, ge=1)
    # The largest angle about the main axis.
    max_angle_deg: float = Field(30, ge=0)
    # The largest angle about the two other axes.
    max_minor_angle_deg: float = Field(1, ge=0)
    # The largest off-diagonal element of the shear matrix.
    max_shear: float = Field(1, ge=0)
    # `structured` masks joints around a few seed joints, `random` any joints.
    spatial_mask: Literal["structured", "random", "none"] = "structured"
    # The seed joints of the structured mask, as a fraction of all joints, rounded: 5 of 25.
    seed_joint_fraction: Fraction = 0.2
    # The masked joints, likewise: 8 of 25.
    masked_joint_fraction: float = Field(0.32, ge=0, lt=1)
    # `segments` masks whole segments of the clip, `frames` as many frames drawn one by one.
    temporal_mask: Literal["segments", "frames", "none"] = "segments"
    # The number of equal segments of a clip.
    num_segments: int = Field(16, ge=1)
    # The number of segments that are masked.
    num_masked_segments: int = Field(6, ge=0)

    @model_validator(mode="after")
    def _leave_a_segment(self) -> Self:
        if self.num_masked_segments >= self.num_segments:
            raise ValueError(
                "data.views.num_masked_segments: expected fewer than "
                f"data.views.num_segments {self.num_segments}, found {self.num_masked_segments}"
            )
        return self


class DataConfig(Section):
    """The sequences, and how they are cut into clips."""

    # The sequence store, or a list of several to pretrain on together.
    store: Annotated[Path | tuple[Path, ...], BeforeValidator(_check_stores)] = Path(
        "data/ntu60.h5"
    )
    # The train/test split of the store; of several stores, one for all or a list.
    benchmark: str | tuple[str, ...] = "xsub"
    # The shares of several stores in pretraining: in proportion to their training sequences, equal
    # ones, or a list of a number for each store. A single store needs none.
    sampling: Annotated[
        Literal["proportional", "equal"] | tuple[float, ...], BeforeValidator(_check_shares)
    ] = "proportional"
    # The two views of a pair are cut from the same sequence, or from two sequences of the same
    # class; of several stores, one for all or a list.
    positives: Positives | tuple[Positives, ...] = "sequence"
    # The batch size over all ranks together; at most the whole training split.
    batch_size: int = Field(64, ge=2)
    # T of a clip.
    num_frames: int = Field(64, ge=1)
    # M of a clip: the first body of the store's two, or both.
    num_bodies: int = Field(2, ge=1, le=2)
    # The memory that holds all frames; `none` reads them from the store in every epoch.
    cache: Literal["auto", "gpu", "cpu", "none"] = "auto"
    # The type of cached frames and of frames on their way to the GPU; views are float32.
    cache_dtype: Literal["float32", "float16"] = "float32"
    # Processes for each rank that read ahead where nothing is cached.
    num_workers: int = Field(2, ge=0)
    views: ViewsConfig = ViewsConfig()

    @property
    def stores(self) -> tuple[Path, ...]:
        """Return the paths of all stores."""
        return self.store if isinstance(self.store, tuple) else (self.store,)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Return the benchmark of each store."""
        if isinstance(self.benchmark, tuple):
            return self.benchmark
        return (self.benchmark,) * len(self.stores)

    @property
    def positives_by_store(self) -> tuple[Positives, ...]:
        """Return what a pair of views shows, for each store."""
        if isinstance(self.positives, tuple):
            return self.positives
        return (self.positives,) * len(self.stores)

    @property
    def shares(self) -> tuple[float, ...] | None:
        """Return the fraction of each store; None: in proportion to their training sequences."""
        num = len(self.stores)
        if self.sampling == "proportional" or num == 1:
            return None
        shares = (1.0,) * num if self.sampling == "equal" else self.sampling
        # Divided first, since the sum of finite numbers can be infinite.
        scaled = [share / max(shares) for share in shares]
        return tuple(share / sum(scaled) for share in scaled)

    @property
    def store_sections(self) -> dict[str, "DataConfig"]:
        """Return the section for each store alone, by the name of the store."""
        alone = (
            self.model_copy(
                update={
                    "store": store,
                    "benchmark": benchmark,
                    "positives": positives,
                    "sampling": "proportional",
                }
            )
            for store, benchmark, positives in zip(
                self.stores, self.benchmarks, self.positives_by_store, strict=True
            )
        )
        return dict(zip(name_stores(self.stores), alone, strict=True))

    @model_validator(mode="after")
    def _fit_the_stores(self) -> Self:
        num = len(self.stores)
        listed = {
            "benchmark": self.benchmark,
            "sampling": self.sampling if num > 1 else None,
            "positives": self.positives,
        }
        for key, value in listed.items():
            if isinstance(value, tuple) and len(value) != num:
                raise ValueError(
                    f"data.{key}: expected a value for each of the stores in data.store, {num}, "
                    f"found {len(value)}"
                )
        return self

    @model_validator(mode="after")
    def _segments_divide_frames(self) -> Self:
        views = self.views
        has_segments = views.frame_mask_prob > 0 and views.temporal_mask == "segments"
        if has_segments and self.num_frames % views.num_segments:
            raise ValueError(
                f"data.num_frames {self.num_frames} is not a multiple of "
                f"data.views.num_segments {views.num_segments}"
            )
        return self


class ModelConfig(Section):
    """Sizes of the encoder and of the contrast (docs/method.md 3 and 4)."""

    # b, the width of the stems.
    base_channels: int = Field(64, ge=8, multiple_of=8)
    # D, the width of the transformers and of each path's feature.
    embed_dim: int = Field(2048, ge=1)
    # The attention heads of the transformers.
    num_heads: int = Field(8, ge=1)
    # The layers of each transformer.
    num_layers: int = Field(1, ge=1)
    # The dropout of the transformers.
    dropout: Probability = 0.1
    # The reduction of a path's tokens to one feature.
    pooling: Literal["max", "mean"] = "max"
    # Mirror clips in which the left side of the body moves more than the right one: an action is
    # then the same with either hand (docs/small.md).
    align_sides: bool = False
    # Beside the features of the paths, principal components of the clips (docs/small.md).
    components: bool = False
    # Their squared length, where that of the features of both paths is 1.
    component_weight: float = Field(1.0, gt=0)
    # The width of the space in which queries and keys are contrasted.
    projection_dim: int = Field(128, ge=1)
    # K, the number of negative keys. `auto`: the largest power of two that is at most a quarter of
    # the training sequences, but at least a batch.
    queue_size: Annotated[int, Field(ge=1)] | Literal["auto"] = 8192
    # Momentum of the key encoder.
    momentum: Probability = 0.999
    # The temperature of InfoNCE.
    temperature: float = Field(0.2, gt=0)

    @model_validator(mode="after")
    def _heads_divide_embed_dim(self) -> Self:
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"model.embed_dim {self.embed_dim} is not a multiple of "
                f"model.num_heads {self.num_heads}"
            )
        return self


class ScdConfig(Section):
    """The contrast between domains (docs/objectives.md)."""

    # The domains of the query and the key of each term of the loss.
    pairs: Annotated[tuple[tuple[Domain, Domain], ...], Distinct] = CROSS_DOMAIN_PAIRS


class HdcConfig(Section):
    """The hierarchical decoupled contrast (docs/objectives.md)."""

    # The paths that are trained, each by its own pair of views.
    subtasks: Annotated[tuple[Literal["spatial", "temporal"], ...], Distinct] = (
        "spatial",
        "temporal",
    )
    # Depths of the encoder: 1 to 3 are the units of the stem, 4 is the end of the path.
    levels: Annotated[tuple[Level, ...], Distinct] = (1, 2, 3, 4)
    # The weights of the levels in the loss.
    loss_weights: Literal["uniform", "depth", "invariance"] = "invariance"


class LatentConfig(Section):
    """The prediction of hidden tokens (docs/objectives.md)."""

    # The factor on its loss, beside the losses of the contrasts.
    loss_weight: float = Field(1, gt=0)
    # The joints that are hidden from the spatial path, rounded.
    joint_fraction: ProperFraction = 0.5
    # The frames that are hidden from the temporal path, rounded.
    frame_fraction: ProperFraction = 0.5
    # `parts` hides parts of the body and blocks of frames, all equally likely; `motion` prefers the
    # moving ones.
    hide: Literal["parts", "motion"] = "parts"
    # `clip` hides values before the encoder; `tokens` only drops tokens after the stem, which
    # has mixed them by then: a control.
    hide_in: Literal["clip", "tokens"] = "clip"
    # The layers of each predictor.
    predictor_layers: int = Field(1, ge=1, le=2)
    # The normalization of targets to mean 0 and variance 1: of each position over the batch, or of
    # each clip over its tokens.
    target_norm: Literal["batch", "tokens", "none"] = "batch"
    # The distance of a prediction from its target.
    loss: Literal["smooth_l1", "cosine"] = "smooth_l1"

    def num_hidden(self, num_joints: int, num_frames: int) -> tuple[int, int]:
        """Return how many of the joints and of the frames are hidden."""
        return round(self.joint_fraction * num_joints), round(self.frame_fraction * num_frames)


class NeighboursConfig(Section):
    """Nearest neighbors as further positives of every contrast (docs/objectives.md)."""

    # The number of keys of the queue that count as positives too, for each clip; 0: none.
    k: int = Field(0, ge=0)


class EpochOptimConfig(Section):
    """Optimizer and learning-rate schedule of a training that counts epochs."""

    # `sgd` has momentum, but no Nesterov momentum.
    name: Literal["sgd", "adamw"] = "sgd"
    # The learning rate at the start of training, or after the warm-up.
    lr: float = Field(0.01, gt=0)
    # Momentum of sgd, beta 1 of adamw.
    momentum: float = Field(0.9, ge=0, lt=1)
    # Applied to every parameter, biases and norms included.
    weight_decay: float = Field(1e-4, ge=0)
    # The number of epochs.
    epochs: int | None = Field(451, ge=1)
    # The decay of lr: at once at the milestones, or as a cosine to 0.
    schedule: Literal["multistep", "cosine"] = "multistep"
    # The epochs, counted from 0, from which on multistep multiplies lr by 0.1.
    milestones: Milestones = (351,)
    # Epochs in which lr rises linearly to its start value.
    warmup_epochs: int = Field(0, ge=0)

    @property
    def duration(self) -> int:
        """Return the length of the training, in what milestones and warm-up count."""
        assert self.epochs is not None
        return self.epochs


class OptimConfig(EpochOptimConfig):
    """Optimizer and learning-rate schedule (docs/method.md 4).

    With `optim.steps`, `optim.milestones`, `optim.warmup_epochs`, `eval_every` and `save_every`
    count steps instead of epochs.
    """

    # The number of steps; if set, it replaces `optim.epochs`.
    steps: int | None = Field(None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _replace_epochs(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("steps") is not None:
            return {**values, "epochs": None}
        return values

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.steps is None and self.epochs is None:
            raise ValueError("expected optim.epochs or optim.steps, found neither")
        return self

    @property
    def duration(self) -> int:
        """Return the length of the training, in what milestones and warm-up count."""
        return super().duration if self.steps is None else self.steps


class LinearOptimConfig(EpochOptimConfig):
    """The optimizer of the linear probe, the paper's."""

    lr: float = Field(2, gt=0)
    weight_decay: float = Field(0, ge=0)
    epochs: int = Field(80, ge=1)
    milestones: Milestones = (50, 70)


class FinetuneOptimConfig(LinearOptimConfig):
    """The optimizer of fine-tuning, the paper's."""

    lr: float = Field(0.01, gt=0)


class LinearConfig(Section):
    """The linear probe on stored features (docs/evaluation.md)."""

    # `sgd` is the paper's; `logistic` is regularized, with a strength that is chosen on held-out
    # training sequences; `auto` is `logistic` for fewer than 1024 features, else `sgd`.
    probe: Literal["auto", "sgd", "logistic"] = "auto"
    # The batch size of `sgd`.
    batch_size: int = Field(1024, ge=1)
    optim: LinearOptimConfig = LinearOptimConfig()


class FinetuneConfig(Section):
    """Fine-tuning of the whole network, with all labels or some (docs/evaluation.md)."""

    # Below 1 the protocol is semi-supervised.
    label_fraction: Fraction = 1
    # Semi-supervised: the number of labeled subsets that are drawn and fine-tuned on.
    num_subsets: int = Field(5, ge=1)
    # The batch size of fine-tuning.
    batch_size: int = Field(64, ge=1)
    # Train on augmented views instead of the evaluation view.
    augment: bool = True
    # The factor on lr from each layer to the one below it, starting at the head.
    layer_decay: Fraction = 1
    # Epochs between two evaluations on the test split; the last one is what counts.
    eval_every: int = Field(10, ge=1)
    optim: FinetuneOptimConfig = FinetuneOptimConfig()


class Config(Section):
    """Everything that defines a run: pretraining and the evaluations of its encoder."""

    # The name of the run directory within runs_dir.
    name: str = Field("scdnet", pattern=r"^[\w+-][\w.+-]*$", coerce_numbers_to_str=True)
    # The directory that contains the run directories.
    runs_dir: Path = Path("runs")
    # The name of this pretraining in tables; by default what it was trained on.
    display_name: str = ""
    # The seed of everything random.
    seed: int = Field(0, ge=0, lt=2**32)
    # `auto` uses a GPU if there is one.
    device: Literal["auto", "cpu", "cuda"] = "auto"
    # Precision of matrix products; tf32 has an effect on a GPU only, bf16 is mixed precision.
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    # `auto` tries each step as one CUDA graph, on a GPU and in a single process (docs/training.md).
    compile: Annotated[Literal["off", "auto"], Off] = "off"
    # Several ranks: batch-norm statistics over the whole batch instead of each rank's rows.
    sync_batchnorm: bool = True
    # The input of the encoder: joint positions, bones, motion, or `all` of them as nine channels.
    stream: Stream = "joint"
    # The encoder whose weights the pretraining starts from: a checkpoint, a directory of scdnet
    # export, hf://OWNER/NAME or a name of weights that ship; null: random ones.
    init: str | None = None
    # Epochs, or steps if optim.steps is set, between two 1-NN evaluations on the test split; 0:
    # never.
    eval_every: int = Field(0, ge=0)
    # The largest number of sequences of each split for these evaluations; 0: all.
    eval_max_clips: int = Field(10_000, ge=0)
    # Epochs, or steps if optim.steps is set, between two checkpoints; the last is always saved.
    save_every: int = Field(10, ge=1)
    # The number of most recent checkpoints to keep, last.pt included.
    keep_checkpoints: int = Field(2, ge=1)
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    # The contrasts of the pretraining, with or without a prediction (docs/objectives.md).
    objective: Literal[
        "scd", "hdc", "scd+hdc", "latent", "scd+latent", "hdc+latent", "scd+hdc+latent"
    ] = "scd"
    scd: ScdConfig = ScdConfig()
    hdc: HdcConfig = HdcConfig()
    latent: LatentConfig = LatentConfig()
    neighbours: NeighboursConfig = NeighboursConfig()
    optim: OptimConfig = OptimConfig()
    linear: LinearConfig = LinearConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    # The depth of the encoder that knn and linear evaluate; 4 is its output.
    feature_level: Level = 4
    # The protocols of `scdnet evaluate`; semi@0.01 is semi-supervised with 1 % of the labels.
    protocols: tuple[Protocol, ...] = ("knn", "linear")

    @model_validator(mode="after")
    def _queue_holds_batch(self) -> Self:
        queue_size = self.model.queue_size
        if queue_size != "auto" and self.data.batch_size > queue_size:
            raise ValueError(
                f"data.batch_size {self.data.batch_size} exceeds model.queue_size {queue_size}"
            )
        return self

    @model_validator(mode="after")
    def _positives_need_a_contrast(self) -> Self:
        values: dict[str, object] = {}
        if self.neighbours.k:
            values["neighbours.k"] = self.neighbours.k
        if "class" in self.data.positives_by_store:
            values["data.positives"] = "class"
        if self.objective == "latent" and values:
            found = " and ".join(f"{key} {value}" for key, value in values.items())
            raise ValueError(
                f"expected objective scd+latent or hdc+latent, found latent, which contrasts "
                f"nothing, with {found}"
            )
        return self

    @property
    def run_dir(self) -> Path:
        """Return the directory to which everything of this run is written."""
        return self.runs_dir / self.name

    @property
    def store_configs(self) -> dict[str, "Config"]:
        """Return the config for each store alone, by the name of the store."""
        sections = self.data.store_sections.items()
        return {name: self.model_copy(update={"data": section}) for name, section in sections}
