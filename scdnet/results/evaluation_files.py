"""What evaluations leave in the folder of a run: numbers, confusion matrices, labelled names and scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.files import atomic_write
from scdnet.results.results_file import Evaluation, append_results, identity, recorded
from scdnet.results.scores import (
    Scores,
    confusion_matrix,
    read_scores,
    write_confusion,
    write_scores,
)


class RunFolder:
    """The files of evaluations. The scores are written last and say what they are of, so they vouch for the others."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def recorded(self, tag: str, evaluation: Evaluation) -> dict[str, float]:
        """The metrics of this very evaluation if the folder has all of it, and says so; else none."""
        metrics = recorded(self.path, evaluation) if self._has_scores(tag, evaluation) else {}
        if metrics:
            log(f"{tag}: in {self.path} already, not computed again")
        return metrics

    def keep(
        self,
        tag: str,
        scores: Scores,
        metrics: Mapping[str, float],
        *,
        labelled: Sequence[str] = (),
    ) -> Path:
        """Take the files `tag` over for another evaluation; `labelled` are the names whose labels it has used.

        Returns the path of results.jsonl.
        """
        self._scores_file(tag).unlink(missing_ok=True)
        path = append_results(self.path, scores.evaluation, metrics)
        matrix = confusion_matrix(torch.from_numpy(scores.scores), torch.from_numpy(scores.label))
        write_confusion(self.path / f"confusion_{tag}.tsv", matrix, scores.class_names)
        if len(labelled):
            with atomic_write(self.path / f"labelled_{tag}.txt") as partial:
                partial.write_text("".join(f"{name}\n" for name in labelled), encoding="utf-8")
        write_scores(self._scores_file(tag), scores)
        return path

    def _has_scores(self, tag: str, evaluation: Evaluation) -> bool:
        try:
            return identity(read_scores(self._scores_file(tag)).evaluation) == identity(evaluation)
        except ScdnetError:  # not there, or damaged: to be made again
            return False

    def _scores_file(self, tag: str) -> Path:
        return self.path / f"scores_{tag}.npz"
