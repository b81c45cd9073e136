"""The jobs of a sweep, and how they are run as processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import NamedTuple

from scdnet.commands.kept_runs import KeptRuns
from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.files import write_text
from scdnet.raw.worker_pool import usable_cores
from scdnet.results.results_file import RESULTS

# A file in the run directory that contains the config with which the job was completed.
COMPLETED = "done.json"


class Job(NamedTuple):
    """One pretraining and its evaluations."""

    # The arguments of `scdnet train` and `scdnet evaluate`.
    arguments: list[str]
    # The config that these arguments resolve to.
    config: Config

    @property
    def run_dir(self) -> Path:
        """Return the directory of the run."""
        return self.config.run_dir

    @property
    def log_path(self) -> Path:
        """Return the path of the output of its commands."""
        return self.run_dir.with_name(f"{self.run_dir.name}.log")

    def commands(self) -> list[list[str]]:
        """Return the commands of the job, in order; each one resumes or skips what exists."""
        # Features of other weights, or of another level, have a file of their own.
        optim = self.config.optim
        length = optim.epochs if optim.steps is None else f"{optim.steps}_steps"
        features = self.run_dir / f"features_{length}_level{self.config.feature_level}.h5"
        checkpoint = ["--checkpoint", str(self.run_dir / "last.pt"), "--features", str(features)]
        return [
            [sys.executable, "-m", "scdnet", "train", *self.arguments, "--resume"],
            [sys.executable, "-m", "scdnet", "evaluate", *self.arguments, *checkpoint],
        ]

    def is_done(self) -> bool:
        """Check whether the job was completed with exactly this config."""
        path = self.run_dir / COMPLETED
        is_complete = path.is_file() and (self.run_dir / RESULTS).is_file()
        return is_complete and path.read_text(encoding="utf-8") == self._summary()

    def mark_done(self) -> None:
        """Record that the job was completed."""
        write_text(self.run_dir / COMPLETED, self._summary())

    def _summary(self) -> str:
        return json.dumps(dump_config(self.config))


class Runner:
    """Runs jobs, one at a time on each of its devices; their output goes to <run>.log.

    A device is a GPU, as CUDA_VISIBLE_DEVICES takes it; None: the device of the config. What is
    complete is added to `kept`.
    """

    def __init__(self, devices: Sequence[str | None], kept: KeptRuns | None = None) -> None:
        self._kept = kept
        self._num_devices = len(devices)
        self._free: SimpleQueue[str | None] = SimpleQueue()
        for device in devices:
            self._free.put(device)
        self._running: set[subprocess.Popen] = set()
        self._stopped = Event()

    def run(self, jobs: Sequence[Job]) -> list[bool]:
        """Run the jobs that are not complete yet; return which ones are complete.

        On SIGTERM or an interrupt the running processes are told to stop, which they do with a
        checkpoint, and no other job starts.
        """
        # SIGTERM acts as an interrupt.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with ThreadPoolExecutor(self._num_devices) as pool:
            try:
                return list(pool.map(self._run_job, jobs))
            except KeyboardInterrupt:
                # A second signal must not disturb the processes while they save.
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                self._stopped.set()
                for process in set(self._running):
                    process.terminate()
                raise

    def _run_job(self, job: Job) -> bool:
        device = self._free.get()
        try:
            if not job.is_done():
                if not all(self._succeeds(command, job, device) for command in job.commands()):
                    return False
                job.mark_done()
                log(f"{job.run_dir}: done")
            if self._kept is not None:
                self._kept.keep(job.config)
            return True
        # A full disk need not stop other runs: they may write elsewhere, or find space later.
        except (OSError, ScdnetError) as error:
            log(f"{job.run_dir}: {error}")
            return False
        finally:
            self._free.put(device)

    def _succeeds(self, command: list[str], job: Job, device: str | None) -> bool:
        """Run a command, unless the sweep was stopped; return whether it succeeded."""
        if self._stopped.is_set():
            return False
        # Several processes at a time share the cores, unless the environment says otherwise.
        num_threads = max(1, usable_cores() // self._num_devices)
        shared = {"OMP_NUM_THREADS": str(num_threads)} if self._num_devices > 1 else {}
        gpu = {} if device is None else {"CUDA_VISIBLE_DEVICES": device}
        path = job.log_path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            process = subprocess.Popen(
                command, env=shared | os.environ | gpu, stdout=file, stderr=file
            )
            self._running.add(process)
            # A stop since the first look has not seen this process.
            if self._stopped.is_set():
                process.terminate()
            status = process.wait()
            self._running.discard(process)
        if status:
            last = path.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
            log(f"{job.run_dir}: status {status}; {' '.join(last)} (full log: {path})")
        return status == 0
