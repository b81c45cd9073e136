"""The runs of a sweep: each in processes of its own, a run at a time on each device."""

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

from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.engine.logs import log
from scdnet.files import atomic_write
from scdnet.raw.worker_pool import usable_cores
from scdnet.results.results_file import RESULTS

MARK = "done.json"  # in the folder of a run
Device = str | None  # a GPU, as CUDA_VISIBLE_DEVICES has it; None: whatever the config says


class Job(NamedTuple):
    """One pretraining and its evaluations."""

    arguments: list[str]  # of train.py and evaluate.py
    config: Config  # what they say

    @property
    def run_dir(self) -> Path:
        """Where it goes."""
        return self.config.run_dir

    def commands(self) -> list[list[str]]:
        """What it takes, in this order; each does only what is left to do."""
        # features of other weights, or of another level, have a file of their own
        features = (
            self.run_dir
            / f"features_{self.config.optim.epochs}_level{self.config.feature_level}.h5"
        )
        checkpoint = ["--checkpoint", str(self.run_dir / "last.pt"), "--features", str(features)]
        return [
            [sys.executable, "-m", "scdnet", "train", *self.arguments, "--resume"],
            [sys.executable, "-m", "scdnet", "evaluate", *self.arguments, *checkpoint],
        ]

    def is_done(self) -> bool:
        """Whether it has been done just so."""
        mark, results = self.run_dir / MARK, self.run_dir / RESULTS
        return (
            results.is_file()
            and mark.is_file()
            and mark.read_text(encoding="utf-8") == self._summary()
        )

    def keep_done(self) -> None:
        """Remember that it has been."""
        with atomic_write(self.run_dir / MARK) as partial:
            partial.write_text(self._summary(), encoding="utf-8")

    def _summary(self) -> str:
        return json.dumps(dump_config(self.config))


class Runner:
    """Runs jobs, one at a time on each of its devices; what they print goes to <run>.log."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self._num = len(devices)
        self._free: SimpleQueue[Device] = SimpleQueue()
        for device in devices:
            self._free.put(device)
        self._running: set[subprocess.Popen] = set()
        self._stopped = Event()

    def run(self, jobs: Sequence[Job]) -> list[bool]:
        """Run what is not done yet; which have succeeded.

        On SIGTERM or an interrupt the runs under way are told to stop, which they do with a checkpoint, and none is
        begun.
        """
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as an interrupt
        with ThreadPoolExecutor(self._num) as pool:
            try:
                return list(pool.map(self._run_job, jobs))
            except KeyboardInterrupt:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one, while they save
                self._stopped.set()
                for process in set(self._running):
                    process.terminate()
                raise

    def _run_job(self, job: Job) -> bool:
        if job.is_done():
            return True
        device = self._free.get()
        try:
            is_done = all(self._succeeds(command, job, device) for command in job.commands())
            if is_done:
                job.keep_done()
                log(f"{job.run_dir}: done")
        except (
            OSError
        ) as error:  # a full disk is that of one run: the others may go elsewhere, or find room
            log(f"{job.run_dir}: {error}")
            return False
        finally:
            self._free.put(device)
        return is_done

    def _succeeds(self, command: list[str], job: Job, device: Device) -> bool:
        if self._stopped.is_set():
            return False
        path = job.run_dir.with_name(job.run_dir.name + ".log")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            process = subprocess.Popen(
                command, env=self._environment(device), stdout=file, stderr=file
            )
            self._running.add(process)
            if self._stopped.is_set():  # meanwhile
                process.terminate()
            status = process.wait()
            self._running.discard(process)
        if status:
            last = path.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
            log(f"{job.run_dir}: status {status}; {' '.join(last)} (all of it in {path})")
        return status == 0

    def _environment(self, device: Device) -> dict[str, str]:
        """Of a process; several at a time share the cores, unless OMP_NUM_THREADS says otherwise."""
        shared = (
            {"OMP_NUM_THREADS": str(max(1, usable_cores() // self._num))} if self._num > 1 else {}
        )
        return shared | os.environ | ({} if device is None else {"CUDA_VISIBLE_DEVICES": device})
