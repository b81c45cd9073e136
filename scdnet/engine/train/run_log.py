"""The log of a run: metrics.jsonl, TensorBoard and the progress bar."""

import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from scdnet.engine.distributed import is_main
from scdnet.engine.logs import Metrics, log, progress_bar
from scdnet.engine.run.directory import BOARD, METRICS
from scdnet.engine.train.plan import Plan
from scdnet.files import append_text, write_text

# The metrics that are shown on the terminal; the files contain all of them.
SHOWN = ("loss", "lr", "clips_per_second", "knn@1")


class RunLog:
    """Logs the lines of a run of which `done` steps are done; a context manager.

    Lines after that of the step `last_line` are dropped, as a resumed run repeats them. Only the
    first rank writes.
    """

    def __init__(self, run_dir: Path, plan: Plan, *, last_line: int, done: int) -> None:
        self._bar = progress_bar(total=plan.num_steps, initial=done, unit="step")
        self._plan = plan
        self._writes = is_main()
        self._warned = False
        if self._writes:
            self._path = run_dir / METRICS
            last = plan.number(last_line)
            _keep_lines_until(self._path, plan.unit, last)
            self._board = SummaryWriter(run_dir / BOARD, purge_step=last + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        if self._writes:
            self._try_board(self._board.close)

    def step(self) -> None:
        """Count a training step."""
        self._bar.update()

    def line(self, step: int, metrics: Metrics, *, show: bool) -> None:
        """Write the metrics of the steps up to `step`; with `show`, log those in SHOWN too.

        Raises ScdnetError if they cannot be written, for example on a full disk.
        """
        if not self._writes:
            return
        number = self._plan.number(step)
        append_text(self._path, json.dumps({self._plan.unit: number, **metrics}) + "\n")
        for name, value in metrics.items():
            self._try_board(self._board.add_scalar, name, value, number)
        shown = {name: f"{value:.4g}" for name, value in metrics.items() if name in SHOWN}
        self._bar.set_postfix(shown)
        if show:
            values = "  ".join(f"{name} {value}" for name, value in shown.items())
            log(f"{self._plan.state_progress(step)}  {values}")

    def _try_board(self, write: Callable[..., object], *arguments: object) -> None:
        """Write to TensorBoard's file; if that fails, warn once, as the metrics have a line."""
        try:
            write(*arguments)
        except OSError as error:
            if not self._warned:
                log(
                    f"warning: {self._board.log_dir}: TensorBoard's file cannot be written "
                    f"({error.strerror or error}); {self._path} has all metrics"
                )
            self._warned = True


def _number_of(line: str, unit: str) -> int | None:
    """Return the number of a line of metrics.jsonl, or None for one that a kill left unfinished."""
    try:
        return json.loads(line)[unit] if line.endswith("\n") else None
    except (ValueError, TypeError, KeyError):
        return None


def _keep_lines_until(path: Path, unit: str, last: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    numbers = [_number_of(line, unit) for line in lines]
    kept = [
        line
        for line, number in zip(lines, numbers, strict=True)
        if number is not None and number <= last
    ]
    write_text(path, "".join(kept))
