"""Results: one JSON line a number, read back, and a table for the eye."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scdnet.config import Config
from scdnet.eval.features import Source

RESULTS = "results.jsonl"  # in the folder of a run


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
        "config": typed,
        **more,
    }


def append_results(run_dir: Path, evaluation: Mapping[str, Any], metrics: Mapping[str, float]) -> Path:
    """Add a line for each metric to the run's results.jsonl. Returns its path."""
    path = run_dir / RESULTS
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({**evaluation, "metric": metric, "value": value}) + "\n" for metric, value in metrics.items()]
    is_torn = path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * is_torn + "".join(lines))  # after a line that a killed run left unfinished, on a new one
    return path


def read_results(path: Path) -> list[dict[str, Any]]:
    """The records of a results.jsonl; what is none, as a line that a killed run left unfinished, is passed over."""
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        is_record = isinstance(record, dict) and {"protocol", "metric", "value"} <= record.keys()
        if is_record and isinstance(record["value"], int | float):
            records.append(record)
    return records


def recorded(run_dir: Path, evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that results.jsonl has of this very evaluation, the last ones if it has them twice; or none."""
    records = read_results(run_dir / RESULTS)
    same = [r for r in records if all(r.get(key) == value for key, value in evaluation.items())]
    return {record["metric"]: record["value"] for record in same}


def format_table(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Rows of values in percent, one column a metric."""
    columns = list(next(iter(rows.values())))
    first = max(len(name) for name in (title, *rows))
    widths = {column: max(11, len(column) + 2) for column in columns}
    lines = [f"{title:<{first}}" + "".join(f"{column:>{width}}" for column, width in widths.items())]
    for name, row in rows.items():
        lines.append(f"{name:<{first}}" + "".join(f"{row[column]:>{width}.1f}" for column, width in widths.items()))
    return "\n".join(lines)
