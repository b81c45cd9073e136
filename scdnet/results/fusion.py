"""Fusion: the scores of several streams, added up. Source: docs/evaluation.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scdnet.errors import ScdnetError
from scdnet.results.record import EvaluationRecord
from scdnet.results.scores import Scores, read_scores

# Keys whose value in a fusion does not come from the parts.
OWN_KEYS = ("protocol", "fused", "fusion_weights", "stream", "num_test")


class Part(NamedTuple):
    """One of the streams that are added up."""

    file: Path
    scores: Scores
    weight: float


def read_parts(files: Sequence[Path], weights: Sequence[float] | None = None) -> list[Part]:
    """Read scores files that will be added up with `weights` (None: equal).

    Raises ScdnetError if they do not belong together.
    """
    if len(files) < 2:
        raise ScdnetError(
            f"expected two or more scores files, one for each stream; found {len(files)}"
        )
    weights = [1.0] * len(files) if weights is None else weights
    if len(weights) != len(files):
        raise ScdnetError(
            f"--weights: expected one for each of the {len(files)} scores files, "
            f"found {len(weights)}"
        )
    for weight in weights:
        if not 0 < weight < float("inf"):
            raise ScdnetError(f"--weights: expected positive numbers, found {weight:g}")
    parts = [Part(file, read_scores(file), w) for file, w in zip(files, weights, strict=True)]
    for i, part in enumerate(parts):
        _check_stream_is_new(parts[:i], part)
        _check_fits(parts[0], part)
    return parts


def fuse(parts: Sequence[Part]) -> Scores:
    """Return the weighted sum of the scores as they are: cosines of knn, else logits."""
    weighted = [part.weight * part.scores.scores.astype(np.float64) for part in parts]
    total = np.sum(weighted, axis=0).astype(np.float32)
    return parts[0].scores._replace(scores=total, record=_fused_record(parts))


def _fused_record(parts: Sequence[Part]) -> EvaluationRecord:
    """Return the record of a fusion; keys in which its parts differ are None."""
    records = [part.scores.record for part in parts]
    first = records[0]
    hashes = [record.checkpoint_sha256 for record in records]
    differing = {
        key: None
        for key in EvaluationRecord.keys_by_name()
        if len({getattr(record, key) for record in records}) > 1
    }
    own = {
        "protocol": "fusion",
        "fused": first.fused or first.protocol,
        "fusion_weights": tuple(float(part.weight) for part in parts),
        "stream": "+".join(record.stream for record in records),
        "checkpoint": ", ".join(str(part.file) for part in parts),
        "checkpoint_sha256": None if None in hashes else "+".join(map(str, hashes)),
        "config": None,
    }
    return first.model_copy(update={**differing, **own})


def _check_stream_is_new(others: Sequence[Part], part: Part) -> None:
    streams = set(part.scores.record.stream.split("+"))
    for other in others:
        both = streams & set(other.scores.record.stream.split("+"))
        if both:
            raise ScdnetError(
                f"{part.file}: its stream {both.pop()} is also that of {other.file}; "
                "expected another"
            )


def _check_fits(first: Part, part: Part) -> None:
    """Raise ScdnetError unless both are scores of the same sequences, classes and protocol."""
    wanted = _shared_values(first)
    for key, found in _shared_values(part).items():
        if found != wanted[key]:
            raise ScdnetError(f"{part.file}: {key} is {found}, but {wanted[key]} in {first.file}")
    for what, ours, theirs in (
        ("class", first.scores.class_names, part.scores.class_names),
        ("sequence", first.scores.name, part.scores.name),
        ("label", first.scores.label, part.scores.label),
    ):
        for i, (expected, found) in enumerate(zip(ours, theirs, strict=True)):
            if found != expected:
                raise ScdnetError(
                    f"{part.file}: {what} {i} is {found}, but {expected} in {first.file}"
                )


def _shared_values(part: Part) -> dict[str, Any]:
    """Return the values that all parts of a fusion must have in common."""
    record = part.scores.record
    values: dict[str, Any] = {"protocol": record.fused or record.protocol}
    for name, key in EvaluationRecord.keys_by_name().items():
        # The seed of a semi-supervised evaluation draws its labels.
        draws_labels = name == "eval_seed" and record.label_fraction is not None
        must_agree = key.role != "info" and not key.may_differ
        if name not in OWN_KEYS and (must_agree or draws_labels):
            values[name] = getattr(record, name)
    values["number of classes"] = len(part.scores.class_names)
    values["number of sequences"] = len(part.scores.name)
    return values
