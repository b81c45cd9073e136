"""Results: one JSON line a number, read back, and a table for the eye."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scdnet.config import Config
from scdnet.eval.features import Source

RESULTS = "results.jsonl"  # in the folder of a run
Evaluation = Mapping[str, Any]  # what is recorded besides the numbers (docs/data.md)


def describe_evaluation(
    config: Config, *, protocol: str, dataset: str, source: Source, typed: str, **more: object
) -> dict[str, Any]:
    """What is recorded of an evaluation besides its numbers; `typed` is the config as the user named it.

    `more` are keys that only some protocols have, such as `label_fraction` and `draw`.
    """
    return {
        "protocol": protocol,
        "dataset": dataset,
        "benchmark": config.data.benchmark,
        "stream": config.stream,
        "seed": source.seed,
        "epoch": source.epoch,
        "checkpoint": source.checkpoint,
        "checkpoint_sha256": source.sha256,
        "pretrained_on": source.pretrained_on,
        "display_name": source.display_name,
        "config": typed,
        **more,
    }


def identity(evaluation: Evaluation) -> dict[str, Any]:
    """What tells an evaluation from another: all of it but what its config and its weights are called."""
    weights = evaluation.get("checkpoint_sha256") or evaluation.get(
        "checkpoint"
    )  # of a control its name
    named = {"config", "checkpoint", "display_name", "metric", "value"}
    return {
        **{key: value for key, value in evaluation.items() if key not in named},
        "checkpoint_sha256": weights,
    }


def append_results(run_dir: Path, evaluation: Evaluation, metrics: Mapping[str, float]) -> Path:
    """Add a line for each metric to the run's results.jsonl. Returns its path."""
    path = run_dir / RESULTS
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({**evaluation, "metric": metric, "value": value}) + "\n"
        for metric, value in metrics.items()
    ]
    is_torn = path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a", encoding="utf-8") as file:
        file.write(
            "\n" * is_torn + "".join(lines)
        )  # after a line that a killed run left unfinished, on a new one
        file.flush()
        os.fsync(file.fileno())  # before the scores, which say that this is here
    return path


def read_results(path: Path) -> list[dict[str, Any]]:
    """The records of a results.jsonl; what is none, as a line that a killed run left unfinished, is passed over."""
    records = []
    for line in (
        path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    ):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        is_record = isinstance(record, dict) and {"protocol", "metric", "value"} <= record.keys()
        if is_record and isinstance(record["value"], int | float):
            records.append(record)
    return records


def recorded(run_dir: Path, evaluation: Evaluation) -> dict[str, float]:
    """The metrics that results.jsonl has of this very evaluation, the last ones if it has them twice; or none."""
    records, wanted = read_results(run_dir / RESULTS), identity(evaluation)
    return {record["metric"]: record["value"] for record in records if identity(record) == wanted}


def format_table(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Rows of values in percent, one column a metric; blank where a row has none."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    first = max(len(name) for name in (title, *rows))
    widths = {column: max(11, len(column) + 2) for column in columns}
    lines = [
        f"{title:<{first}}" + "".join(f"{column:>{width}}" for column, width in widths.items())
    ]
    for name, row in rows.items():
        cells = {column: f"{row[column]:.1f}" if column in row else "" for column in columns}
        lines.append(
            f"{name:<{first}}"
            + "".join(f"{cells[column]:>{width}}" for column, width in widths.items())
        )
    return "\n".join(lines)
