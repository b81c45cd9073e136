"""Two machines that are namespaces of this one, connected by a cable. No test itself."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

INTERFACE = "eth0"
ADDRESSES = ("10.77.0.1", "10.77.0.2")
PROGRAMS = ("ip", "nsenter", "unshare")
# Prints its number outside of its namespaces, and keeps them until its stdin ends.
KEEPER = ("sh", "-c", "read number rest < /proc/self/stat; echo $number; exec cat")


class Namespaces:
    """The namespaces that a program makes and a process in them keeps."""

    def __init__(self, *command: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*command, *KEEPER], stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        assert self.process.stdout
        number = self.process.stdout.readline().strip()
        if not number:
            raise OSError(self.process.communicate()[1].strip())
        self.number = int(number)

    def inside(self, *namespaces: str) -> list[str]:
        """Return the words before a command that runs it in these namespaces."""
        return ["nsenter", f"--target={self.number}", "--preserve-credentials", *namespaces]

    def kill(self) -> None:
        """Kill the keeper, and with it all processes of a process namespace."""
        if self.process.poll() is None:
            os.kill(self.number, signal.SIGKILL)
        self.process.communicate()


class Machine:
    """A network and processes of its own, with the files of this machine."""

    def __init__(self, address: str, network: Namespaces) -> None:
        self.address = address
        self.network = network
        self.boot()

    def boot(self) -> None:
        """Start the first process."""
        self.processes = Namespaces(
            *self.network.inside("--user", "--net"), "unshare", "--pid", "--fork"
        )

    def kill(self) -> None:
        """Kill all processes with SIGKILL. The network stays."""
        self.processes.kill()

    def call(self, *command: str) -> None:
        """Run a command of this network. Raises OSError with what it printed."""
        command = (*self.network.inside("--user", "--net"), *command)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(done.stderr.strip())

    def start(
        self, command: Sequence[str | Path], *, environment: dict[str, str], **options
    ) -> subprocess.Popen:
        """Start a program on this machine, with variables that are added to the environment."""
        return subprocess.Popen(
            [*self.processes.inside("--user", "--net", "--pid"), *command],
            env={**os.environ, "GLOO_SOCKET_IFNAME": INTERFACE, **environment},
            **options,
        )


@contextmanager
def two_machines() -> Iterator[list[Machine]]:
    """Yield two new machines with ADDRESSES; in the end they are killed. Raises OSError."""
    with ExitStack() as stack:
        first = Namespaces("unshare", "--user", "--map-root-user", "--net")
        stack.callback(first.kill)
        # The user who may connect them owns both.
        second = Namespaces(*first.inside("--user"), "unshare", "--net")
        stack.callback(second.kill)
        machines = []
        for address, network in zip(ADDRESSES, (first, second), strict=True):
            machine = Machine(address, network)
            stack.callback(machine.kill)
            machines.append(machine)
        peer = ("peer", "name", INTERFACE, "netns", str(second.number))
        machines[0].call("ip", "link", "add", INTERFACE, "type", "veth", *peer)
        for machine in machines:
            machine.call("ip", "address", "add", f"{machine.address}/24", "dev", INTERFACE)
            machine.call("ip", "link", "set", INTERFACE, "up")
            machine.call("ip", "link", "set", "lo", "up")
        yield machines


def require_machines() -> None:
    """Skip the test, with the reason, where two machines cannot be made."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no two machines: {', '.join(missing)} (util-linux, iproute2) not installed")
    try:
        with two_machines():
            pass
    except OSError as error:
        pytest.skip(f"no two machines: {error}")
