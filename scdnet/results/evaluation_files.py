"""What an evaluation writes to a run directory: numbers, confusion matrix, names and scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from scdnet.errors import ScdnetError
from scdnet.files import atomic_write
from scdnet.results.record import EvaluationRecord
from scdnet.results.results_file import append_results, find_metrics
from scdnet.results.scores import (
    Scores,
    confusion_matrix,
    read_scores,
    write_confusion,
    write_scores,
)


def find_evaluation(run_dir: Path, record: EvaluationRecord) -> dict[str, float]:
    """Return the metrics of exactly this evaluation if the directory contains all of it, else none.

    The scores vouch for the other files: they are written last and state what they belong to.
    """
    try:
        scores = read_scores(_scores_path(run_dir, record.tag))
    except ScdnetError:
        return {}
    return find_metrics(run_dir, record) if scores.record.identity == record.identity else {}


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
    scores_path = _scores_path(run_dir, tag)
    scores_path.unlink(missing_ok=True)
    results = append_results(run_dir, scores.record, metrics)
    matrix = confusion_matrix(torch.from_numpy(scores.scores), torch.from_numpy(scores.label))
    write_confusion(run_dir / f"confusion_{tag}.tsv", matrix, scores.class_names)
    if len(labeled):
        with atomic_write(run_dir / f"labeled_{tag}.txt") as partial:
            partial.write_text("".join(f"{name}\n" for name in labeled), encoding="utf-8")
    write_scores(scores_path, scores)
    return results


def _scores_path(run_dir: Path, tag: str) -> Path:
    return run_dir / f"scores_{tag}.npz"
