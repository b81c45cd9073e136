"""The checkpoints of a run: the newest, those kept before it, the best by score."""

import re
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

LAST, BEST = "last.pt", "best.pt"
NEXT = "next.pt"  # becomes last.pt when it is whole
EARLIER = re.compile(r"epoch_(\d+)(?:_step_(\d+))?\.pt")


class Progress(NamedTuple):
    """How far a run has come; later places are larger."""

    epochs: int  # completed
    steps: int  # completed, of the epoch after them

    @property
    def file_name(self) -> str:
        """Of the checkpoint that was written there, once there is a newer one."""
        return f"epoch_{self.epochs:04}{f'_step_{self.steps:04}' if self.steps else ''}.pt"

    def __str__(self) -> str:
        return f"{self.epochs} epochs{f' and {self.steps} steps' if self.steps else ''}"


def progress_of(state: dict[str, Any]) -> Progress:
    """Where the run stood when the checkpoint with `state` was written."""
    return Progress(state["epoch"], state["unfinished"].get("steps", 0))


def find_checkpoints(folder: Path) -> list[Path]:
    """What a run in `folder` could go on from, the newest first; the best one comes last, it may be old."""
    ends = [[folder / name] if (folder / name).is_file() else [] for name in (LAST, BEST)]
    return [*ends[0], *_earlier(folder), *ends[1]]


def _earlier(folder: Path) -> list[Path]:
    names = [match for path in folder.glob("epoch_*.pt") if (match := EARLIER.fullmatch(path.name))]
    names.sort(key=lambda match: Progress(int(match[1]), int(match[2] or 0)), reverse=True)
    return [folder / match[0] for match in names]


class RunCheckpoints:
    """Writes the checkpoints of a run and keeps the newest `keep` of them; finds the one to go on from."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self._folder, self._keep = folder, keep
        self._whole: tuple[Path, Progress] | None = None  # the newest that is known to be whole
        self._damaged: list[Path] = []

    def newest(self) -> Checkpoint:
        """The newest that is whole; what is damaged is named. Raises CheckpointError if there is none.

        A file that is no checkpoint of ours, of another version, or that this machine cannot read, is an error too.
        """
        paths = find_checkpoints(self._folder)
        for path in paths:
            try:
                checkpoint = read_checkpoint(path)
            except DamagedCheckpointError as error:
                log(f"{error}; not used, looking for one before it")
                self._damaged.append(path)
                continue
            if not checkpoint.is_ours:
                raise CheckpointError(
                    f"{path}: cannot resume from it, it was not written by this program"
                )
            self._whole = path, progress_of(checkpoint.state)
            return checkpoint
        names = ", ".join(path.name for path in paths)
        raise CheckpointError(
            f"{self._folder}: cannot resume, not one of {names} can be read; --overwrite starts anew"
        )

    def save(self, state: dict[str, Any]) -> Path:
        """Write the checkpoint `state` as the newest, name the one before by its place, remove what is too many.

        Killed at any moment, it leaves one of the two for `newest`. Raises CheckpointError, with what is whole.
        """
        last, place = self._folder / LAST, progress_of(state)
        if self._whole == (last, place):
            return last
        self._write(self._folder / NEXT, state)
        for path in self._damaged:
            path.rename(f"{path}.damaged")  # out of the way, but there
        self._damaged.clear()
        if self._whole is not None and self._whole[0] == last:
            last.rename(self._folder / self._whole[1].file_name)
        (self._folder / NEXT).replace(last)
        self._whole = last, place
        for path in _earlier(self._folder)[self._keep - 1 :]:
            path.unlink()
        return last

    def save_best(self, state: dict[str, Any]) -> None:
        """Write the checkpoint `state` as the one with the best score. Raises CheckpointError, with what is whole."""
        self._write(self._folder / BEST, state)

    def __str__(self) -> str:
        """What there is to go on from, for an error."""
        if self._whole is None:
            return f"{self._folder}: no checkpoint was written yet"
        return f"the last good checkpoint is {self._whole[0]}, after {self._whole[1]}"

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        try:
            save_checkpoint(path, state)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {self}; make room and go on with --resume") from error
