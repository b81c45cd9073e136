"""Fusion: the scores of several streams, added up. Source: docs/method.md 5."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scdnet.errors import ScdnetError
from scdnet.eval.features import BASELINES, FINAL_LEVEL
from scdnet.results.scores import Scores, read_scores

PROTOCOL = "fusion"
VARIANTS = (
    "probe",
    "label_fraction",
    "draw",
    "gallery",
    "gallery_sha256",
    "store_sha256",
)  # must be the same


class Part(NamedTuple):
    """One of the streams that are added up."""

    file: Path
    scores: Scores
    weight: float


def read_parts(files: Sequence[Path], weights: Sequence[float] | None = None) -> list[Part]:
    """Read scores files, to be added up with `weights` (None: equal). Raises ScdnetError if they do not go together."""
    if len(files) < 2:
        raise ScdnetError(
            f"expected two scores files or more, one for each stream; found {len(files)}"
        )
    weights = [1.0] * len(files) if weights is None else weights
    if len(weights) != len(files):
        raise ScdnetError(
            f"--weights: expected one for each of the {len(files)} scores files, found {len(weights)}"
        )
    for weight in weights:
        if not 0 < weight < float("inf"):
            raise ScdnetError(f"--weights: expected positive numbers, found {weight:g}")
    parts = [
        Part(file, read_scores(file), weight) for file, weight in zip(files, weights, strict=True)
    ]
    for i, part in enumerate(parts):
        _check_stream_is_new(parts[:i], part)
        _check_fits(parts[0], part)
    return parts


def fuse(parts: Sequence[Part]) -> Scores:
    """The sum of the scores as they are (cosines of knn, else logits), each times its weight."""
    total = sum(part.weight * part.scores.scores.astype(np.float64) for part in parts)
    stream = "+".join(part.scores.stream for part in parts)
    fused = parts[0].scores._replace(scores=total.astype(np.float32), stream=stream)
    return fused._replace(evaluation=_describe(parts, fused))


def _describe(parts: Sequence[Part], fused: Scores) -> dict[str, Any]:
    """What is recorded of a fusion besides its numbers; what the parts do not have in common is None (docs/data.md)."""
    weights_of = [part.scores.evaluation.get("checkpoint_sha256") for part in parts]
    variant = {
        key: _common(parts, key) for key in (*VARIANTS, "feature_level", "eval_seed", "settings")
    }
    return {
        "protocol": PROTOCOL,
        "fused": _protocol(parts[0]),
        **{key: value for key, value in variant.items() if value is not None},
        "dataset": fused.dataset,
        "benchmark": fused.benchmark,
        "stream": fused.stream,
        **{key: _common(parts, key) for key in ("seed", "epoch", "pretrained_on", "display_name")},
        "checkpoint": ", ".join(str(part.file) for part in parts),
        "checkpoint_sha256": None if None in weights_of else "+".join(weights_of),
        "config": None,
        "num_test": len(fused.label),
        "weights": [part.weight for part in parts],
    }


def _protocol(part: Part) -> str | None:
    """The protocol that the scores are of; None if the file does not say."""
    return part.scores.evaluation.get("fused") or part.scores.evaluation.get("protocol")


def _common(parts: Sequence[Part], key: str) -> Any:
    """The value that all parts have of `key`, or None."""
    values = [part.scores.evaluation.get(key) for part in parts]
    return values[0] if all(value == values[0] for value in values) else None


def _check_stream_is_new(others: Sequence[Part], part: Part) -> None:
    for other in others:
        both = set(other.scores.stream.split("+")) & set(part.scores.stream.split("+"))
        if both:
            raise ScdnetError(
                f"{part.file}: stream {both.pop()} is that of {other.file} too; expected another"
            )


def _check_fits(first: Part, part: Part) -> None:
    """Raise ScdnetError where the scores of `part` are not of the same sequences, classes and protocol as `first`."""
    wanted, found = _identity(first), _identity(part)
    for key in wanted:
        if None not in (wanted[key], found[key]) and wanted[key] != found[key]:
            raise ScdnetError(
                f"{part.file}: {key} is {found[key]}, but {wanted[key]} in {first.file}"
            )
    columns = {"class": "class_names", "sequence": "name", "label": "label"}
    for what, field in columns.items():
        ours, theirs = (
            np.asarray(getattr(scores, field)) for scores in (first.scores, part.scores)
        )
        if not np.array_equal(ours, theirs):
            i = int((ours != theirs).argmax())
            raise ScdnetError(
                f"{part.file}: {what} {i} is {theirs[i]}, but {ours[i]} in {first.file}"
            )


def _identity(part: Part) -> dict[str, object]:
    """What must be the same, in the words of the messages; None where it is not known."""
    scores, evaluation = part.scores, part.scores.evaluation
    return {
        "the protocol": _protocol(part),
        "the encoder": BASELINES.get(evaluation.get("checkpoint"), "trained")
        if evaluation
        else None,
        "the level of the features": evaluation.get("feature_level", FINAL_LEVEL)
        if evaluation
        else None,
        **{key: evaluation.get(key) for key in VARIANTS},
        "the seed of the labels": evaluation.get("eval_seed")
        if "label_fraction" in evaluation
        else None,
        "the data set": scores.dataset,
        "the benchmark": scores.benchmark,
        "the number of classes": len(scores.class_names),
        "the number of sequences": len(scores.name),
    }
