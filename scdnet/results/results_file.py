"""results.jsonl: one line for each number of an evaluation."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from scdnet.results.record import EvaluationRecord, Result

# Its name in a run directory.
RESULTS = "results.jsonl"


def append_results(run_dir: Path, record: EvaluationRecord, metrics: Mapping[str, float]) -> Path:
    """Append a line for each metric to the run's results.jsonl, and return its path."""
    path = run_dir / RESULTS
    path.parent.mkdir(parents=True, exist_ok=True)
    about = record.dump()
    lines = [
        json.dumps({**about, "metric": metric, "value": value}) + "\n"
        for metric, value in metrics.items()
    ]
    # A killed run may have left its last line unfinished.
    is_torn = path.is_file() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * is_torn + "".join(lines))
        # The scores, written next, state that these lines exist.
        file.flush()
        os.fsync(file.fileno())
    return path


def read_results(path: Path) -> list[Result]:
    """Read a results.jsonl, skipping lines that are not results, such as unfinished ones."""
    if not path.is_file():
        return []
    results = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            results.append(Result.model_validate_json(line))
        except ValueError:
            continue
    return results


def find_metrics(run_dir: Path, record: EvaluationRecord) -> dict[str, float]:
    """Return the metrics that results.jsonl contains of this evaluation, the latest of each."""
    results = read_results(run_dir / RESULTS)
    return {result.metric: result.value for result in results if result.identity == record.identity}
