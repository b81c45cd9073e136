"""Many evaluations as a few rows: the mean over seeds and subsets of what is otherwise the same."""

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from scdnet.config import Stream
from scdnet.results.record import BASELINES, PROTOCOLS, RAW_PCA, Repetition, Result, Row


class Statistic(NamedTuple):
    """One number of a row."""

    mean: float
    # Sample standard deviation; None of a single value.
    std: float | None
    n: int


# Statistics by metric.
Rows = dict[Row, dict[str, Statistic]]
# Keys and values of the record of an evaluation.
Variant = tuple[tuple[str, object], ...]
# Values by metric.
Evaluations = dict[Repetition, dict[str, float]]


def summarize(results: Sequence[Result]) -> tuple[Rows, int]:
    """Return rows in the order of the tables, and the number of values that were replaced.

    If an evaluation was recorded twice, its last values count. Checkpoints with the same seed are
    not repetitions of each other: they get a row each, named by their path. So do evaluations with
    other settings or on another store, named by their hashes.
    """
    variants: dict[Row, set[Variant]] = {}
    for result in results:
        variants.setdefault(result.row, set()).add(tuple(result.variant.items()))
    groups: dict[tuple[Row, str], Evaluations] = {}
    paths: dict[str, str] = {}
    num_changed = 0
    for result in results:
        row = result.row
        repetition = result.repetition
        paths[repetition[0]] = str(result.checkpoint)
        suffix = _name_variant(tuple(result.variant.items()), variants[row])
        values = groups.setdefault((row, suffix), {}).setdefault(repetition, {})
        num_changed += values.get(result.metric, result.value) != result.value
        values[result.metric] = result.value
    rows: Rows = {}
    for (row, suffix), evaluations in groups.items():
        for part, its_evaluations in _split_checkpoints(row, evaluations, paths).items():
            named = part._replace(encoder=part.encoder + suffix)
            rows[named] = average(its_evaluations.values())
    return sort_rows(rows), num_changed


def _name_variant(variant: Variant, variants: Iterable[Variant]) -> str:
    """Return the values of a variant in which the variants of its row differ."""
    differing = [pairs[0][0] for pairs in zip(*variants, strict=True) if len(set(pairs)) > 1]
    return "".join(
        f", {key.removesuffix('_sha256')} {str(value or 'unknown')[:7]}"
        for key, value in variant
        if key in differing
    )


def _split_checkpoints(
    row: Row, evaluations: Evaluations, paths: Mapping[str, str]
) -> dict[Row, Evaluations]:
    """Return one row, or a row for each checkpoint where several have the same seed."""
    checkpoints = {(weights, seed) for weights, seed, _ in evaluations}
    if len({seed for _, seed in checkpoints}) == len(checkpoints):
        return {row: evaluations}
    rows: dict[Row, Evaluations] = {}
    for repetition, values in evaluations.items():
        weights = repetition[0]
        name = "/".join(Path(paths[weights]).parts[-2:])
        part = row._replace(encoder=f"{name} {weights[:7]}")
        rows.setdefault(part, {})[repetition] = values
    return rows


def average(evaluations: Iterable[Mapping[str, float]]) -> dict[str, Statistic]:
    """Compute mean and standard deviation of each metric over the evaluations that have it."""
    values: dict[str, list[float]] = {}
    for evaluation in evaluations:
        for metric, value in evaluation.items():
            values.setdefault(metric, []).append(value)
    return {metric: _statistic(of_metric) for metric, of_metric in values.items()}


def _statistic(values: Sequence[float]) -> Statistic:
    std = statistics.stdev(values) if len(values) > 1 else None
    return Statistic(statistics.fmean(values), std, len(values))


def sort_rows(rows: Rows) -> Rows:
    """Sort by dataset, protocol, stream and encoder: baselines, then ours, then published.

    raw-pca, which takes all streams, comes before them.
    """
    return dict(sorted(rows.items(), key=lambda item: _rank(item[0])))


def _rank(row: Row) -> tuple[object, ...]:
    protocol = row.protocol.split(" ")[0]
    numbers = [float(number) for number in re.findall(r"\d+\.?\d*", row.protocol)]
    return (
        (row.dataset, row.benchmark, row.num_test or 0),
        (_position(protocol, PROTOCOLS), numbers, row.protocol),
        (row.encoder != BASELINES[RAW_PCA], _position(row.stream, get_args(Stream)), row.stream),
        (bool(row.source), _position(row.encoder, tuple(BASELINES.values())), row.encoder),
    )


def _position(value: str, order: Sequence[str]) -> int:
    return order.index(value) if value in order else len(order)
