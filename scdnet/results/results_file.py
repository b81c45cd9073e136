"""What an evaluation writes to a run directory: results.jsonl, confusion matrix and scores."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from scdnet.errors import ScdnetError
from scdnet.files import append_text, write_text
from scdnet.results.record import EvaluationRecord, Result, hash_settings
from scdnet.results.scores import (
    Scores,
    confusion_matrix,
    read_scores,
    write_confusion,
    write_scores,
)

# Its name in a run directory.
RESULTS = "results.jsonl"


def append_results(run_dir: Path, record: EvaluationRecord, metrics: Mapping[str, float]) -> Path:
    """Append a line for each metric to the run's results.jsonl, and return its path."""
    path = run_dir / RESULTS
    lines = [
        json.dumps({**record.dump(), "metric": metric, "value": value}) + "\n"
        for metric, value in metrics.items()
    ]
    # It syncs them to disk: the scores, written next, state that these lines exist.
    append_text(path, "".join(lines))
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


def find_evaluation(run_dir: Path, record: EvaluationRecord) -> dict[str, float]:
    """Return the metrics of exactly this evaluation if the directory contains all of it, else none.

    Of a metric that results.jsonl contains twice the later value counts. The scores vouch for the
    other files: they are written last and state what they belong to.
    """
    try:
        scores = read_scores(scores_path(run_dir, record.tag))
    except ScdnetError:
        return {}
    if scores.record.identity != record.identity:
        return {}
    results = read_results(run_dir / RESULTS)
    return {result.metric: result.value for result in results if result.identity == record.identity}


def write_evaluation(
    run_dir: Path,
    scores: Scores,
    metrics: Mapping[str, float],
    *,
    tag: str = "",
    labeled: Sequence[str] = (),
) -> Path:
    """Write the files of an evaluation, replacing those with the same `tag` (default: its own).

    `labeled` are the names of the training sequences whose labels it used. Returns the path of
    results.jsonl.
    """
    tag = tag or scores.record.tag
    path = scores_path(run_dir, tag)
    path.unlink(missing_ok=True)
    results = append_results(run_dir, scores.record, metrics)
    matrix = confusion_matrix(torch.from_numpy(scores.scores), torch.from_numpy(scores.label))
    write_confusion(run_dir / f"confusion_{tag}.tsv", matrix, scores.class_names)
    if len(labeled):
        write_text(run_dir / f"labeled_{tag}.txt", "".join(f"{name}\n" for name in labeled))
    write_scores(path, scores)
    return results


def shared_dir(cache: Path, record: EvaluationRecord) -> Path:
    """Return the directory of this evaluation among those that all runs can use."""
    return cache / f"{record.tag}_{hash_settings(record.identity)}"


def copy_evaluation(
    source: Path, run_dir: Path, record: EvaluationRecord, *, labeled: Sequence[str] = ()
) -> dict[str, float]:
    """Copy exactly this evaluation from the directory `source`, if it contains all of it.

    Returns its metrics, or none.
    """
    metrics = find_evaluation(source, record)
    if metrics:
        scores = read_scores(scores_path(source, record.tag))
        # The keys that identify the evaluation are equal; others, such as `config`, may differ.
        write_evaluation(run_dir, scores._replace(record=record), metrics, labeled=labeled)
    return metrics


def share_evaluation(target: Path, scores: Scores, metrics: Mapping[str, float]) -> None:
    """Write an evaluation to `target`, for other runs, unless another process does so first."""
    own = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        write_evaluation(own, scores, metrics)
        # Fails if another process was first.
        with suppress(OSError):
            own.rename(target)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def scores_path(run_dir: Path, tag: str) -> Path:
    """Return the path of the scores of an evaluation."""
    return run_dir / f"scores_{tag}.npz"
