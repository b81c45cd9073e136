"""Results: one JSON line a number, and a table for the eye."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scdnet.config import Config
from scdnet.eval.features import Source


def append_results(
    config: Config, metrics: Mapping[str, float], *, protocol: str, dataset: str, source: Source, config_name: str
) -> Path:
    """Add a line for each metric to the run's results.jsonl; `config_name` is what the user typed. Returns its path."""
    record: dict[str, Any] = {
        "protocol": protocol,
        "dataset": dataset,
        "benchmark": config.data.benchmark,
        "stream": config.stream,
        "seed": source.seed,
        "epoch": source.epoch,
        "checkpoint": source.checkpoint,
        "checkpoint_sha256": source.sha256,
        "config": config_name,
    }
    path = config.run_dir / "results.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for metric, value in metrics.items():
            file.write(json.dumps({**record, "metric": metric, "value": value}) + "\n")
    return path


def format_table(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Rows of values in percent, one column a metric."""
    columns = list(next(iter(rows.values())))
    width = max(len(name) for name in (title, *rows))
    lines = [f"{title:<{width}}" + "".join(f"{column:>11}" for column in columns)]
    lines += [f"{name:<{width}}" + "".join(f"{row[column]:>11.1f}" for column in columns) for name, row in rows.items()]
    return "\n".join(lines)
