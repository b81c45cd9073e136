"""The checkpoints of a run: the newest, those kept before it, and the best by score."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from scdnet.engine.checkpoint import (
    Checkpoint,
    CheckpointError,
    DamagedCheckpointError,
    read_checkpoint,
    save_checkpoint,
)
from scdnet.engine.logs import log

LAST = "last.pt"
BEST = "best.pt"
# Becomes last.pt when it is whole.
NEXT = "next.pt"
EARLIER = re.compile(r"epoch_(\d+)(?:_step_(\d+))?\.pt")


class Progress(NamedTuple):
    """Progress of a run; a later one is larger."""

    # Completed epochs, and completed steps of the epoch after them.
    epochs: int
    steps: int

    @property
    def file_name(self) -> str:
        """Return the name of the checkpoint of this progress, once there is a newer one."""
        step = f"_step_{self.steps:04}" if self.steps else ""
        return f"epoch_{self.epochs:04}{step}.pt"

    def __str__(self) -> str:
        return f"epoch {self.epochs}" + (f", step {self.steps}" if self.steps else "")


def progress_of(state: dict[str, Any]) -> Progress:
    """Return the progress of a run when the checkpoint with `state` was written."""
    return Progress(state["epoch"], state["unfinished"].get("steps", 0))


def _count_unlogged(state: dict[str, Any]) -> int:
    return len(state["unfinished"].get("metrics", ()))


def find_checkpoints(folder: Path) -> list[Path]:
    """List what a run in `folder` could resume from, newest first; the best comes last.

    The file that would have become last.pt is used if a kill during the first save has left nothing
    else; otherwise the one before it does as well.
    """
    candidates = [folder / LAST, *_find_earlier(folder), folder / NEXT, folder / BEST]
    return [path for path in candidates if path.is_file()]


def _find_earlier(folder: Path) -> list[Path]:
    names = [match for path in folder.glob("epoch_*.pt") if (match := EARLIER.fullmatch(path.name))]
    names.sort(key=lambda match: Progress(int(match[1]), int(match[2] or 0)), reverse=True)
    return [folder / match[0] for match in names]


class RunCheckpoints:
    """Writes the checkpoints of a run, keeps the newest `keep` of them, and finds one to resume."""

    def __init__(
        self, folder: Path, *, keep: int, describe: Callable[[Progress], str] = str
    ) -> None:
        self._folder = folder
        self._keep = keep
        # States the progress of a checkpoint in messages.
        self._describe = describe
        # The newest checkpoint that is known to be whole.
        self._whole: tuple[Path, Progress] | None = None
        # The number of steps whose metrics were not logged when it was written.
        self._num_unlogged = 0
        self._damaged: list[Path] = []

    def newest(self) -> Checkpoint:
        """Return the newest whole checkpoint; log the damaged ones.

        Raises CheckpointError if there is none, or if one is not a checkpoint of ours, of another
        version, or cannot be read by this machine.
        """
        paths = find_checkpoints(self._folder)
        for path in paths:
            try:
                checkpoint = read_checkpoint(path)
            except DamagedCheckpointError as error:
                log(f"{error}; skipping it, trying the one before")
                self._damaged.append(path)
                continue
            if not checkpoint.is_ours:
                raise CheckpointError(
                    f"{path}: cannot resume from it, it was not written by this program"
                )
            if path.name == NEXT and len(self._damaged) == 0:
                # A kill came between the two steps of the first save.
                path = path.replace(self._folder / LAST)
            self._whole = (path, progress_of(checkpoint.state))
            self._num_unlogged = _count_unlogged(checkpoint.state)
            return checkpoint._replace(path=path)
        names = ", ".join(path.name for path in paths)
        raise CheckpointError(
            f"{self._folder}: cannot resume, none of {names} can be read; "
            "start again with --overwrite"
        )

    def save(self, state: dict[str, Any]) -> Path:
        """Write `state` as the newest checkpoint, rename the one before, remove surplus ones.

        Killed at any moment, it leaves one of the two for `newest`. Raises CheckpointError, which
        names the newest whole checkpoint.
        """
        last = self._folder / LAST
        progress = progress_of(state)
        num_unlogged = _count_unlogged(state)
        is_same_progress = self._whole == (last, progress)
        if is_same_progress and num_unlogged == self._num_unlogged:
            return last
        # A damaged one may have the name of the one that is written now.
        for path in self._damaged:
            path.rename(f"{path}.damaged")
        self._damaged.clear()
        self._write(self._folder / NEXT, state)
        if self._whole is not None and self._whole[0] == last and not is_same_progress:
            last.rename(self._folder / self._whole[1].file_name)
        (self._folder / NEXT).replace(last)
        self._whole = (last, progress)
        self._num_unlogged = num_unlogged
        for path in _find_earlier(self._folder)[self._keep - 1 :]:
            path.unlink()
        return last

    def save_best(self, state: dict[str, Any]) -> None:
        """Write `state` as the checkpoint with the best score. Raises as `save` does."""
        self._write(self._folder / BEST, state)

    def __str__(self) -> str:
        """Return what there is to resume from, for error messages."""
        if self._whole is None:
            return f"{self._folder}: no checkpoint was written yet"
        path, progress = self._whole
        return f"the last good checkpoint is {path}, at {self._describe(progress)}"

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        try:
            save_checkpoint(path, state)
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}; {self}; free disk space and continue with --resume"
            ) from error
