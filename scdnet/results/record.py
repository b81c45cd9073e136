"""The record of an evaluation: the one place that lists its keys and what each of them is for."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict

from scdnet.config import Level

# Baselines whose features are the output of a module, as those of a checkpoint are.
ModuleBaseline = Literal["raw", "random-init"]
Baseline = Literal["raw", "raw-pca", "random-init"]
Protocol = Literal["knn", "linear", "finetune", "semi", "transfer", "fusion"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
RAW_PCA: Literal["raw-pca"] = "raw-pca"
# The names of the baselines in tables.
BASELINES: dict[Baseline, str] = {
    "raw": "raw views",
    RAW_PCA: "raw-pca",
    "random-init": "random init",
}
# The level of an encoder's output.
FINAL_LEVEL: int = get_args(Level)[-1]
# A `row` key distinguishes the rows of a table, which show it; a `variant` key does so too, but is
# shown only where evaluations differ in it; a `repetition` key distinguishes the evaluations that a
# row averages; evaluations that differ only in `info` keys are the same.
Role = Literal["row", "variant", "repetition", "info"]
# Weights (a hash, the scores files of a fusion or the name of a baseline), the seed of the
# pretraining, and the other `repetition` keys.
Repetition = tuple[str, object, tuple[object, ...]]


@dataclass(frozen=True)
class Key:
    """Annotates a field of a record with its meaning."""

    role: Role
    # Streams that are fused may differ in it.
    may_differ: bool = False
    # Formats of the value in the label of the protocol and in file names, unless it is `usual`.
    label: str = ""
    tag: str = ""
    usual: object = None


class Row(NamedTuple):
    """The columns of a table that identify a row."""

    dataset: str
    benchmark: str
    # The number of test sequences distinguishes stores of the same dataset.
    num_test: int | None
    # The protocol with its variant, such as `semi 1 %`.
    protocol: str
    stream: str
    # A baseline, a pretraining or a published method.
    encoder: str
    epochs: int | None
    # Published numbers state their source.
    source: str = ""


class EncoderRecord(BaseModel):
    """The origin of an encoder and how it is used; a value is None where it is not known.

    Keys without a default are part of every line of results.jsonl, the others where they apply.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    baseline: Annotated[Baseline | None, Key("row", tag="{}")] = None
    # The depth of the encoder from which the features are taken.
    feature_level: Annotated[int, Key("row", label="level {}", tag="level{}", usual=FINAL_LEVEL)]
    # A path; for a fusion, those of the scores files.
    checkpoint: Annotated[str | None, Key("info")]
    checkpoint_sha256: Annotated[str | None, Key("repetition", may_differ=True)]
    stream: Annotated[str, Key("row")]
    # The seed of the pretraining, or of the weights of random-init.
    seed: Annotated[int | None, Key("repetition", may_differ=True)]
    # Completed epochs of the pretraining.
    epoch: Annotated[int | None, Key("row", may_differ=True)]
    # The file name of the store of the pretraining, without suffix; of several, joined by `+`.
    pretrained_on: Annotated[str | None, Key("variant", may_differ=True)] = None
    # The hashes of the content of the stores of the pretraining, with blanks between them.
    pretrained_sha256: Annotated[str | None, Key("info")] = None
    display_name: Annotated[str | None, Key("info")] = None

    @classmethod
    @cache
    def keys_by_name(cls) -> dict[str, Key]:
        """Return the meaning of each key, those of the encoder first."""
        return {
            name: next(item for item in field.metadata if isinstance(item, Key))
            for name, field in cls.model_fields.items()
        }

    @property
    def identity(self) -> dict[str, Any]:
        """Return the values that distinguish this record from others."""
        return self._values("row", "variant", "repetition")

    def _values(self, *roles: Role) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name, key in self.keys_by_name().items()
            if key.role in roles
        }

    def dump(self) -> dict[str, Any]:
        """Return the keys that apply, as plain values."""
        return self.model_dump(mode="json", exclude_defaults=True)


class EvaluationRecord(EncoderRecord):
    """One evaluation: what a line of results.jsonl states besides the metric and its value."""

    # Semi-supervised: the index of the labeled subset, and the fraction that it is.
    subset: Annotated[int | None, Key("repetition", tag="subset{}")] = None
    label_fraction: Annotated[float | None, Key("row", tag="{:g}")] = None
    # Linear: the kind of probe.
    probe: Annotated[str | None, Key("row", label="{}", tag="{}", usual="sgd")] = None
    # The name of the store, where the config lists several.
    store: Annotated[str | None, Key("info", tag="{}")] = None
    # kNN: the store that replaces the training split.
    gallery: Annotated[str | None, Key("row", label="gallery {}", tag="from_{}")] = None
    gallery_sha256: Annotated[str | None, Key("variant")] = None
    # Fusion: the protocol of the parts, and their factors.
    fused: Annotated[Protocol | None, Key("row")] = None
    fusion_weights: Annotated[tuple[float, ...] | None, Key("row")] = None
    protocol: Annotated[Protocol, Key("row")]
    dataset: Annotated[str, Key("row")]
    benchmark: Annotated[str, Key("row")]
    num_test: Annotated[int, Key("row")]
    store_sha256: Annotated[str, Key("variant")]
    # The hash of all other values that the numbers depend on.
    settings: Annotated[str | None, Key("variant", may_differ=True)] = None
    # The seed of the evaluation, where it draws anything.
    eval_seed: Annotated[int | None, Key("repetition", may_differ=True)] = None
    # The config as the user named it.
    config: Annotated[str | None, Key("info")]

    @property
    def variant(self) -> dict[str, Any]:
        """Return the values that split a row if its evaluations differ in them."""
        return self._values("variant")

    @property
    def repetition(self) -> Repetition:
        """Return which of the evaluations of its row this one is.

        A fusion of several seeds is identified by its files.
        """
        weights = self.checkpoint_sha256 or self.checkpoint or str(self.baseline)
        has_several_seeds = self.protocol == "fusion" and self.seed is None
        seed = self.checkpoint if has_several_seeds else self.seed
        others = self._values("repetition")
        del others["checkpoint_sha256"], others["seed"]
        return weights, seed, tuple(others.values())

    @property
    def row(self) -> Row:
        """Return the row that this evaluation belongs to."""
        return Row(
            self.dataset,
            self.benchmark,
            self.num_test,
            self.protocol_label,
            self.stream,
            self.encoder_label,
            self.epoch,
        )

    @property
    def protocol_label(self) -> str:
        """Return the protocol with its variant: `semi 1 %`, `linear (logistic)`, `fusion (knn)`."""
        protocol: str = self.protocol
        if self.protocol == "semi" and self.label_fraction:
            protocol += f" {100 * self.label_fraction:g} %"
        details = self._formatted(lambda key: key.label)
        if self.fused:
            part = self.model_copy(update={"protocol": self.fused, "fused": None})
            weights = self.fusion_weights or ()
            different = [":".join(f"{weight:g}" for weight in weights)] * (len(set(weights)) > 1)
            details = [part.protocol_label, *different]
        return f"{protocol} ({', '.join(details)})" if details else protocol

    @property
    def encoder_label(self) -> str:
        """Return what was evaluated; nothing for a fusion of encoders with nothing in common."""
        unknown = "" if self.protocol == "fusion" else "trained"
        trained = f"trained on {self.pretrained_on}" if self.pretrained_on else unknown
        if self.baseline is not None:
            return BASELINES[self.baseline]
        return self.display_name or trained

    @property
    def tag(self) -> str:
        """Return the name of this evaluation within file names.

        Files of a baseline never replace those of an encoder.
        """
        return "_".join([self.protocol, *self._formatted(lambda key: key.tag)])

    def _formatted(self, format_of: Callable[[Key], str]) -> list[str]:
        """Format the values that are not the usual ones, those of the evaluation first."""
        return [
            format_of(key).format(value)
            for name, key in reversed(self.keys_by_name().items())
            if format_of(key) and (value := getattr(self, name)) not in (None, key.usual)
        ]


class Result(EvaluationRecord):
    """A line of results.jsonl: one number of an evaluation."""

    metric: Annotated[str, Key("info")]
    # Percent.
    value: Annotated[float, Key("info")]


def hash_settings(settings: Mapping[str, Any]) -> str:
    """Return a short hash of values that the numbers of an evaluation depend on."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
