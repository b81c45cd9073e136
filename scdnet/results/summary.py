"""Many evaluations as a few rows: the mean over seeds and draws of what is otherwise the same."""

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scdnet.data.streams import STREAMS
from scdnet.eval.features import BASELINES

Record = Mapping[str, Any]  # a line of results.jsonl
PROTOCOLS = ("knn", "linear", "finetune", "semi", "transfer", "fusion")  # in the order of the rows


class Row(NamedTuple):
    """What the evaluations of a row have in common."""

    dataset: str
    benchmark: str
    num_test: int | None  # test sequences; tells apart stores of the same data set
    protocol: str  # with what tells its variants apart, `semi 1 %`
    stream: str
    encoder: str  # a control, what it was trained on, or a published method
    epochs: int | None
    source: str = ""  # of published numbers


class Statistic(NamedTuple):
    """One number of a row."""

    mean: float
    std: float | None  # of the sample; None of a single value
    n: int


class Repetition(NamedTuple):
    """One evaluation of a row."""

    checkpoint: str  # hash, or name
    seed: object  # of the pretraining
    eval_seed: object  # of the evaluation, where it draws anything
    draw: object


# keys that no row shows, but in which its evaluations agree
MADE_WITH = ("settings", "store_sha256", "gallery_sha256", "pretrained_on")
Rows = dict[Row, dict[str, Statistic]]  # statistics by metric
Evaluations = dict[Repetition, dict[str, float]]  # values by metric


def summarize(records: Iterable[Record]) -> tuple[Rows, int]:
    """Rows in the order in which they are shown, and how many numbers were recorded again with another value.

    Of an evaluation that was recorded twice the last numbers count. Checkpoints of one seed are no repetitions of each
    other, whatever differs: they get a row each, named by their path. So do evaluations with other settings, or on
    another store, named by their hashes.
    """
    records = list(records)
    variants: dict[Row, set[tuple[object, ...]]] = {}
    for record in records:
        variants.setdefault(row_of(record), set()).add(_made_with(record))
    groups: dict[tuple[Row, str], Evaluations] = {}
    paths: dict[str, str] = {}
    num_changed = 0
    for record in records:
        repetition = repetition_of(record)
        paths[repetition.checkpoint] = str(record.get("checkpoint"))
        row = row_of(record)
        variant = _name_variant(record, variants[row])
        values = groups.setdefault((row, variant), {}).setdefault(repetition, {})
        num_changed += values.get(record["metric"], record["value"]) != record["value"]
        values[record["metric"]] = record["value"]
    rows: Rows = {}
    for (row, variant), evaluations in groups.items():
        for part, of in split_checkpoints(row, evaluations, paths).items():
            rows[part._replace(encoder=part.encoder + variant)] = average(of.values())
    return sort_rows(rows), num_changed


def row_of(record: Record) -> Row:
    """The row that a record belongs to."""
    dataset, benchmark, stream = (
        str(record.get(key, "?")) for key in ("dataset", "benchmark", "stream")
    )
    encoder = encoder_of(record)
    return Row(
        dataset,
        benchmark,
        record.get("num_test"),
        protocol_of(record),
        stream,
        encoder,
        record.get("epoch"),
    )


def _made_with(record: Record) -> tuple[object, ...]:
    return tuple(record.get(key) for key in MADE_WITH)


def _name_variant(record: Record, variants: set[tuple[object, ...]]) -> str:
    """In which of MADE_WITH the evaluations of a row differ, and what the record has there; nothing if in none."""
    differing = [
        key for i, key in enumerate(MADE_WITH) if len({variant[i] for variant in variants}) > 1
    ]
    return "".join(
        f", {key.removesuffix('_sha256')} {str(record.get(key) or 'unknown')[:7]}"
        for key in differing
    )


def protocol_of(record: Record) -> str:
    """The protocol with its variant: `semi 1 %`, `linear (logistic)`, `knn (gallery ntu120)`, `fusion (knn)`."""
    protocol, variants = str(record["protocol"]), []
    if record.get(
        "fused"
    ):  # what the evaluations that were fused have in common is a variant of theirs
        variants.append(protocol_of({**record, "protocol": record["fused"], "fused": None}))
        if len(set(record.get("weights") or ())) > 1:
            variants.append(":".join(f"{weight:g}" for weight in record["weights"]))
    else:
        if record.get("probe", "sgd") != "sgd":
            variants.append(str(record["probe"]))
        if record.get("feature_level"):
            variants.append(f"level {record['feature_level']}")
        if record.get("gallery"):
            variants.append(f"gallery {record['gallery']}")
    if protocol == "semi" and record.get("label_fraction"):
        protocol += f" {100 * record['label_fraction']:g} %"
    return f"{protocol} ({', '.join(variants)})" if variants else protocol


def encoder_of(record: Record) -> str:
    """What was evaluated; nothing for a fusion of encoders that have nothing in common."""
    checkpoint, trained_on = record.get("checkpoint"), record.get("pretrained_on")
    unknown = "" if record["protocol"] == "fusion" else "trained"
    return (
        BASELINES.get(checkpoint)
        or record.get("display_name")
        or (f"trained on {trained_on}" if trained_on else unknown)
    )


def repetition_of(record: Record) -> Repetition:
    """Which of the evaluations of its row a record belongs to; a fusion of several seeds is one by its files."""
    checkpoint, seed = str(record.get("checkpoint")), record.get("seed")
    if record["protocol"] == "fusion" and seed is None:
        seed = checkpoint
    weights = record.get("checkpoint_sha256") or checkpoint
    return Repetition(weights, seed, record.get("eval_seed"), record.get("draw"))


def split_checkpoints(
    row: Row, evaluations: Evaluations, paths: Mapping[str, str]
) -> dict[Row, Evaluations]:
    """One row; where several checkpoints have the same seed, a row for each checkpoint."""
    checkpoints = {(repetition.checkpoint, repetition.seed) for repetition in evaluations}
    if len({seed for _, seed in checkpoints}) == len(checkpoints):
        return {row: evaluations}
    rows: dict[Row, Evaluations] = {}
    for repetition, values in evaluations.items():
        name = "/".join(Path(paths[repetition.checkpoint]).parts[-2:])
        part = row._replace(encoder=f"{name} {repetition.checkpoint[:7]}")
        rows.setdefault(part, {})[repetition] = values
    return rows


def average(evaluations: Iterable[Mapping[str, float]]) -> dict[str, Statistic]:
    """Mean and standard deviation of each metric over the evaluations that have it."""
    values: dict[str, list[float]] = {}
    for evaluation in evaluations:
        for metric, value in evaluation.items():
            values.setdefault(metric, []).append(value)
    return {
        metric: Statistic(
            statistics.fmean(of), statistics.stdev(of) if len(of) > 1 else None, len(of)
        )
        for metric, of in values.items()
    }


def sort_rows(rows: Rows) -> Rows:
    """By data set, then by protocol, stream and encoder: controls before what is trained, before published numbers."""
    return dict(sorted(rows.items(), key=lambda item: _rank(item[0])))


def _rank(row: Row) -> tuple[object, ...]:
    kind, numbers = row.protocol.split(" ")[0], re.findall(r"\d+\.?\d*", row.protocol)
    return (
        (row.dataset, row.benchmark, row.num_test or 0),
        (_place(kind, PROTOCOLS), [float(number) for number in numbers], row.protocol),
        (_place(row.stream, tuple(STREAMS)), row.stream),
        (bool(row.source), _place(row.encoder, tuple(BASELINES.values())), row.encoder),
    )


def _place(value: str, order: Sequence[str]) -> int:
    return order.index(value) if value in order else len(order)
