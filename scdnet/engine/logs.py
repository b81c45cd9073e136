"""What a run leaves to be looked at: progress bar, metrics.jsonl, TensorBoard."""

import json
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from scdnet.engine.distributed import is_main
from scdnet.errors import ScdnetError
from scdnet.files import atomic_write

SHOWN = ("loss", "lr", "clips_per_second", "knn@1")  # on the terminal; all of them are in the files
Metrics = dict[str, float]
Item = TypeVar("Item")


def log(text: str) -> None:
    """A line for whoever watches, on stderr, above a progress bar if there is one; of ranks only the first speaks."""
    if is_main():
        with suppress(BrokenPipeError):  # nobody reads it any more, which ends no training
            tqdm.write(text, file=sys.stderr)


def progress_bar(items: Iterable[Item] | None = None, **about: Any) -> tqdm:
    """A progress bar where somebody watches; `about` it as tqdm has it."""
    return tqdm(items, **about, disable=None if is_main() else True)


class TimedIterator(Generic[Item]):
    """Hands on the items of an iterable; `seconds` is the time that getting them has taken."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self.seconds = 0.0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        start = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - start


class RunLog:
    """Logs the epochs of a run, of `steps` each, `done` in all; a context manager.

    Lines of epochs from `first_epoch` on are dropped (resuming). Of several ranks only the first one's does anything.
    """

    def __init__(
        self, run_dir: Path, *, first_epoch: int, epochs: int, steps: int, done: int
    ) -> None:
        self._bar = progress_bar(total=epochs * steps, initial=done, unit="step")
        self._epochs, self._writes = epochs, is_main()
        if self._writes:
            self._path = run_dir / "metrics.jsonl"
            _keep_epochs_before(self._path, first_epoch)
            self._board = SummaryWriter(run_dir / "tensorboard", purge_step=first_epoch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        with suppress(
            *([OSError] if error else [])
        ):  # it tells what is wrong; of a full disk this one would fail too
            if self._writes:
                self._board.close()

    def step(self) -> None:
        """One training step is done."""
        self._bar.update()

    def epoch(self, epoch: int, metrics: Metrics, *, show: bool) -> None:
        """Write the metrics of `epoch`; with `show`, those SHOWN as a line too. Raises ScdnetError (a full disk)."""
        if not self._writes:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"epoch": epoch, **metrics}) + "\n")
        except OSError as problem:
            raise ScdnetError(f"{self._path}: cannot be written ({problem.strerror})") from problem
        for name, value in metrics.items():
            self._board.add_scalar(name, value, epoch)
        text = {name: f"{value:.4g}" for name, value in metrics.items() if name in SHOWN}
        self._bar.set_postfix(text)
        if show:
            values = "  ".join(f"{name} {value}" for name, value in text.items())
            log(f"epoch {epoch + 1}/{self._epochs}  {values}")


def _epoch_of(line: str) -> int | None:
    """The epoch of a line of metrics.jsonl; None if it is none, as one that a kill has left unfinished."""
    try:
        return json.loads(line)["epoch"] if line.endswith("\n") else None
    except (ValueError, TypeError, KeyError):
        return None


def _keep_epochs_before(path: Path, epoch: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    kept = [line for line in lines if (number := _epoch_of(line)) is not None and number < epoch]
    with atomic_write(path) as partial:
        partial.write_text("".join(kept), encoding="utf-8")
