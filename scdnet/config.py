"""The config: one tree of values with defaults (the paper's), ranges and a meaning each."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from scdnet.losses import CROSS_DOMAIN_PAIRS

Domain = Literal["temporal", "spatial", "instance"]
Probability = Annotated[float, Field(ge=0, le=1)]
Off = BeforeValidator(
    lambda value: "off" if value is False else value
)  # YAML 1.1 reads `off` as false
Milestones = tuple[Annotated[int, Field(ge=1)], ...]


def _check_distinct(values: tuple[object, ...]) -> tuple[object, ...]:
    if not values or len(set(values)) < len(values):
        raise ValueError("expected one or more, each once")
    return values


Distinct = AfterValidator(_check_distinct)


class Section(BaseModel):
    """A part of the tree: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ViewsConfig(Section):
    """The augmentations of a training view (docs/method.md 2); the first five numbers are probabilities."""

    rotate: Probability = 0.5
    flip: Probability = 0.5
    shear: Probability = 0.5
    joint_mask: Probability = 0.5
    frame_mask: Probability = 0.5
    crop_fraction: float = Field(0.1, gt=0, le=1)  # the shortest crop, as a share of the recording
    crop_frames: int = Field(64, ge=1)  # but at least so many frames, where the recording has them
    angle_deg: float = Field(30, ge=0)  # largest angle about the main axis
    minor_angle_deg: float = Field(1, ge=0)  # and about the two others
    shear_size: float = Field(1, ge=0)  # largest off-diagonal of the shear matrix
    spatial_mask: Literal["structured", "random", "none"] = (
        "structured"  # structured: around a few joints
    )
    seed_joints: int = Field(5, ge=1)  # of those
    masked_joints: int = Field(8, ge=0, lt=25)
    temporal_mask: Literal["segments", "frames", "none"] = (
        "segments"  # frames: as many, but single ones
    )
    segments: int = Field(16, ge=1)
    masked_segments: int = Field(6, ge=0)


class DataConfig(Section):
    """Which sequences, and how they are cut into clips."""

    store: Path = Path("data/ntu60.h5")
    benchmark: str = "xsub"
    batch_size: int = Field(64, ge=2)  # of all ranks together
    frames: int = Field(64, ge=1)  # T of a clip
    bodies: int = Field(2, ge=1, le=2)  # M of a clip: the first of the store's two, or both
    resident: Annotated[Literal["auto", "gpu", "cpu", "off"], Off] = (
        "auto"  # which memory holds all frames; off: none
    )
    storage: Literal["float32", "float16"] = (
        "float32"  # of frames in memory and on their way there, not in views
    )
    workers: int = Field(2, ge=0)  # with off: processes that read ahead, for each rank; 0: none
    shard: bool = (
        False  # each rank holds its part of the recordings instead of all (docs/scaling.md)
    )
    views: ViewsConfig = ViewsConfig()

    @model_validator(mode="after")
    def _segments_fit(self) -> Self:
        views = self.views
        if self.frames % views.segments and views.frame_mask and views.temporal_mask == "segments":
            raise ValueError(
                f"data.frames {self.frames} is no multiple of data.views.segments {views.segments}"
            )
        if views.masked_segments >= views.segments:
            raise ValueError(
                f"data.views.masked_segments {views.masked_segments} is all of data.views.segments {views.segments}"
            )
        return self


class ModelConfig(Section):
    """Sizes of the encoder and of the contrast (docs/method.md 3 and 4)."""

    base_channels: int = Field(64, ge=8, multiple_of=8)  # b of the stems
    width: int = Field(2048, ge=1)  # D
    heads: int = Field(8, ge=1)
    layers: int = Field(1, ge=1)
    dropout: Probability = 0.1
    pooling: Literal["max", "mean"] = "max"  # over the tokens of a path
    projection: int = Field(128, ge=1)  # width of the contrast space
    queue_size: int = Field(8192, ge=1)  # K
    momentum: Probability = 0.999  # of the key encoder
    temperature: float = Field(0.2, gt=0)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"model.width {self.width} is no multiple of model.heads {self.heads}")
        return self


class ScdConfig(Section):
    """The contrast between domains (docs/methods.md)."""

    pairs: Annotated[tuple[tuple[Domain, Domain], ...], Distinct] = (
        CROSS_DOMAIN_PAIRS  # of a query and a key
    )


class HdcConfig(Section):
    """The hierarchical decoupled contrast (docs/methods.md)."""

    subtasks: Annotated[tuple[Literal["spatial", "temporal"], ...], Distinct] = (
        "spatial",
        "temporal",
    )
    levels: Annotated[tuple[Literal[1, 2, 3, 4], ...], Distinct] = (
        1,
        2,
        3,
        4,
    )  # 4: after the transformer
    weights: Literal["uniform", "depth", "invariance"] = "invariance"


class OptimConfig(Section):
    """Optimiser and schedule (docs/method.md 4)."""

    name: Literal["sgd", "adamw"] = "sgd"  # sgd: with momentum, without Nesterov
    lr: float = Field(0.01, gt=0)  # at the start, or after the warm-up
    momentum: float = Field(0.9, ge=0, lt=1)  # adamw: beta 1
    weight_decay: float = Field(1e-4, ge=0)  # on every parameter, biases and norms too
    epochs: int = Field(451, ge=1)
    schedule: Literal["multistep", "cosine"] = "multistep"
    milestones: Milestones = (
        351,
    )  # multistep: the epochs from which on lr is a tenth; epochs count from 0
    warmup_epochs: int = Field(0, ge=0)  # lr rises linearly to its start value


class LinearOptimConfig(OptimConfig):
    """Of the linear probe; the paper's."""

    lr: float = Field(2, gt=0)
    weight_decay: float = Field(0, ge=0)
    epochs: int = Field(80, ge=1)
    milestones: Milestones = (50, 70)


class FinetuneOptimConfig(LinearOptimConfig):
    """Of fine-tuning; the paper's."""

    lr: float = Field(0.01, gt=0)


class LinearConfig(Section):
    """The linear probe on stored features (docs/method.md 5)."""

    probe: Literal["sgd", "logistic"] = (
        "sgd"  # logistic: regularised, the strength chosen on training sequences
    )
    batch_size: int = Field(1024, ge=1)
    optim: LinearOptimConfig = LinearOptimConfig()


class FinetuneConfig(Section):
    """Fine-tuning of the whole network, with all labels or a share of them (docs/method.md 5)."""

    label_fraction: float = Field(1, gt=0, le=1)  # below 1: semi-supervised
    draws: int = Field(5, ge=1)  # of the labels that are kept, where they are not all
    batch_size: int = Field(64, ge=1)
    augment: bool = True  # training views; else the evaluation view
    layer_decay: float = Field(1, gt=0, le=1)  # of lr, from the head downwards, for each layer
    test_every: int = Field(
        10, ge=1
    )  # epochs between two looks at the test split; the last is what counts
    optim: FinetuneOptimConfig = FinetuneOptimConfig()


Protocol = Annotated[str, Field(pattern=r"^(knn|linear|finetune|semi@0?\.\d*[1-9]\d*)$")]


class Config(Section):
    """A run."""

    name: str = Field(
        "scdnet", pattern=r"^[\w+-][\w.+-]*$", coerce_numbers_to_str=True
    )  # of the folder in runs_dir
    runs_dir: Path = Path("runs")
    seed: int = Field(0, ge=0, lt=2**32)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "tf32", "bf16"] = (
        "fp32"  # of matrix products; tf32: on a GPU, bf16: mixed precision
    )
    compile: Annotated[Literal["auto", "off"], Off] = (
        "auto"  # auto: on a GPU, compiled kernels, one CUDA graph a step
    )
    sync_batchnorm: bool = (
        True  # of several ranks: statistics of the whole batch, not of each rank's rows of it
    )
    stream: Literal["joint", "bone", "motion"] = "joint"
    eval_every: int = Field(0, ge=0)  # epochs between two 1-NN scores on the test split; 0: never
    eval_clips: int = Field(10_000, ge=0)  # of either split, at most, that this score takes; 0: all
    save_every: int = Field(
        10, ge=1
    )  # epochs between two checkpoints; the last epoch is always saved
    keep: int = Field(2, ge=1)  # of the newest checkpoints; the first of them is last.pt
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    objective: Literal["scd", "hdc", "scd+hdc"] = "scd"
    label: str = ""  # what tables call this pretraining; by default what it was trained on
    scd: ScdConfig = ScdConfig()
    hdc: HdcConfig = HdcConfig()
    optim: OptimConfig = OptimConfig()
    linear: LinearConfig = LinearConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    features: Literal["level1", "level2", "level3", "level4"] = (
        "level4"  # that knn and linear look at; 4: the end
    )
    protocols: tuple[Protocol, ...] = (
        "knn",
        "linear",
    )  # of tools/evaluate.py; semi@0.01: with 1 % of the labels

    @model_validator(mode="after")
    def _queue_holds_batch(self) -> Self:
        if self.data.batch_size > self.model.queue_size:
            raise ValueError(
                f"data.batch_size {self.data.batch_size} exceeds model.queue_size {self.model.queue_size}"
            )
        return self

    @property
    def run_dir(self) -> Path:
        """Where everything of this run is written."""
        return self.runs_dir / self.name
