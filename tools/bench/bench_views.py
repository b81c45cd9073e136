#!/usr/bin/env python3
"""Training views of a whole batch against a clip-by-clip writing of docs/method.md 2. Side by side, A B A B."""

import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from bench_lib import seconds

from scdnet.cli import command_parser, run_command
from scdnet.config import DataConfig, ViewsConfig
from scdnet.data.clips import Clips, noise_clips
from scdnet.engine.device import disable_malloc_trim, resolve_device
from scdnet.skeleton import NTU_25, neighbor_matrix

FRAMES = 64


class LiteralViews:
    """docs/method.md 2 for one clip after the other, in numpy, as a paper's data loader writes it."""

    def __init__(self, clips: Clips, views: ViewsConfig, seed: int) -> None:
        self.clips, self.views, self.rng = clips, views, np.random.default_rng(seed)
        neighbours = neighbor_matrix(NTU_25)
        self.reach = neighbours @ neighbours

    def __call__(self, index: Sequence[int]) -> torch.Tensor:
        """(N, C, T, V, M) of the sequences `index`."""
        return torch.stack([torch.from_numpy(self.view(i)) for i in index])

    def view(self, i: int) -> np.ndarray:
        """One view (C, T, V, M) of sequence `i`."""
        recordings = self.clips.recordings
        offset, length = int(recordings.offset[i]), int(recordings.length[i])
        x = recordings.frames[:, offset : offset + length].numpy().transpose(0, 1, 3, 2)
        x = self.resize(self.crop(x))
        for happens in (self.rotate, self.flip, self.shear, self.mask_joints, self.mask_frames):
            if self.rng.random() < 0.5:
                x = happens(x)
        return np.ascontiguousarray(x)

    def crop(self, x: np.ndarray) -> np.ndarray:
        """A random stretch of (C, T, V, M)."""
        rho = self.rng.uniform(self.views.min_crop_fraction, 1)
        length = min(max(math.floor(x.shape[1] * rho), self.views.min_crop_frames), x.shape[1])
        start = self.rng.integers(x.shape[1] - length + 1)
        return x[:, start : start + length]

    def resize(self, x: np.ndarray) -> np.ndarray:
        """To 64 frames, by torch's interpolate as the original does."""
        c, t, v, m = x.shape
        flat = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).reshape(
            1, c * v * m, t
        )
        flat = torch.nn.functional.interpolate(
            flat, size=FRAMES, mode="linear", align_corners=False
        )
        return flat.reshape(c, v, m, FRAMES).numpy().transpose(0, 3, 1, 2)

    def rotate(self, x: np.ndarray) -> np.ndarray:
        """By a large angle about one axis and small ones about the others."""
        largest = [self.views.max_minor_angle_deg] * 3
        largest[self.rng.integers(3)] = self.views.max_angle_deg
        (cx, sx), (cy, sy), (cz, sz) = (
            (math.cos(a), math.sin(a))
            for a in (math.radians(self.rng.uniform(0, deg)) for deg in largest)
        )
        about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
        about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        about_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
        return self.apply(about_z @ about_y @ about_x, x)

    def apply(self, matrix: np.ndarray, x: np.ndarray) -> np.ndarray:
        """p' = A p for every joint."""
        return np.tensordot(matrix.astype(np.float32), x, axes=1)

    def flip(self, x: np.ndarray) -> np.ndarray:
        """Left and right joints change places."""
        return x[:, :, list(NTU_25.mirror)]

    def shear(self, x: np.ndarray) -> np.ndarray:
        """By a matrix of ones on the diagonal."""
        matrix = self.rng.uniform(-self.views.max_shear, self.views.max_shear, size=(3, 3))
        np.fill_diagonal(matrix, 1)
        return self.apply(matrix, x)

    def mask_joints(self, x: np.ndarray) -> np.ndarray:
        """Zero the joints around a few seeds."""
        score = self.reach[self.rng.integers(25, size=self.views.seed_joint_fraction)].sum(
            axis=0
        ) + self.rng.random(25)
        x = x.copy()
        x[:, :, np.argsort(score)[-self.views.masked_joint_fraction :]] = 0
        return x

    def mask_frames(self, x: np.ndarray) -> np.ndarray:
        """Zero some of 16 segments."""
        segments, x = self.views.num_segments, x.copy()
        for segment in self.rng.choice(segments, self.views.num_masked_segments, replace=False):
            x[:, segment * FRAMES // segments : (segment + 1) * FRAMES // segments] = 0
        return x


def pairs_a_second(clips: Clips, batch: int, batches: int) -> float:
    """Pairs of training views that the device of the clips makes, by the clock."""
    generator = torch.Generator().manual_seed(0)

    def make(count: int) -> None:
        for _ in clips.training_views(
            torch.randint(1000, (count, batch), generator=generator), generator
        ):
            pass

    make(10)  # to warm up
    return batches * batch / seconds(lambda: make(batches), clips.device)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call: other programs on the machine disturb it least."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Time pairs of training views: this project's batches against clip by clip, or on a GPU by themselves."""
    parser = command_parser("bench_views", main.__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--bodies", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    clips = noise_clips(
        DataConfig(num_bodies=args.bodies), 1000, device=resolve_device(args.device)
    )
    if args.device != "cpu":
        rate = pairs_a_second(clips, args.batch, batches=500)
        print(
            f"torch {torch.__version__}, batch {args.batch}, {args.bodies} bodies: {rate:.0f} pairs of views a second"
        )
        return
    torch.set_num_threads(1)
    disable_malloc_trim()  # as training does
    generator, literal = (
        torch.Generator().manual_seed(0),
        LiteralViews(clips, clips.config.views, seed=0),
    )
    ours_ms, literal_ms = [], []
    for _ in range(args.rounds):
        index = torch.randint(1000, (args.batch,), generator=generator)
        ours = (
            cpu_seconds(lambda index=index: list(clips.training_views([index] * 5, generator))) / 5
        )
        ours_ms.append(1000 * ours / args.batch)
        literal_ms.append(
            1000 * cpu_seconds(lambda index=index: literal(index.repeat(2).tolist())) / args.batch
        )
    ours, theirs = statistics.median(ours_ms[1:]), statistics.median(literal_ms[1:])
    print(
        f"{platform.machine()}, one core, torch {torch.__version__}, numpy {np.__version__}, {args.rounds - 1} rounds"
    )
    print(
        f"pairs of views, batch {args.batch}, {args.bodies} bodies, 64 frames, CPU ms a pair (median)"
    )
    print(f"  one batch   {ours:8.3f}")
    print(f"  clip by clip{theirs:8.3f}   ratio {theirs / ours:.1f}")


if __name__ == "__main__":
    run_command(main)
