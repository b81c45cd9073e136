#!/usr/bin/env python3
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from tabulate import tabulate

from scdnet.cli import config_parser, run_command
from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.data.clips import Clips, load_clips
from scdnet.data.store import SkeletonSequence
from scdnet.engine.device import disable_malloc_trim, resolve_device
from scdnet.engine.train.pretrain import pretrain
from scdnet.eval.features import extract_features, load_encoder_or_baseline
from scdnet.eval.knn import accuracy_1nn, split_features
from scdnet.raw.convert import Job, Outcome, convert, find_all
from scdnet.raw.custom.frames import CaptureSpec, normalize_bodies
from scdnet.raw.datasets import NTU_DATASETS, class_names, parse_ntu_name
from scdnet.raw.normalize import select_bodies
from scdnet.raw.ntu import SUFFIX, parse_skeleton
from scdnet.raw.raw_files import RawFile
from scdnet.results.record import ModuleBaseline
from scdnet.skeleton import Skeleton
from scdnet.skeletons import COCO_17, H36M_17, KINECT_V1_20, NTU_25

SEEDS = (0, 1, 2)
ENCODERS: tuple[ModuleBaseline | Literal["trained"], ...] = ("raw", "random-init", "trained")
# A camera like that of Kinect v2: focal length and middle of the image in pixels.
FOCAL = 1081
MIDDLE = (960, 540)
# Joints of NTU_25 under other names, by skeleton; those of the same name are the same joint.
RENAMED = {
    "ntu25": {},
    "kinect_v1_20": {
        "center of hips": "base of spine",
        "spine": "middle of spine",
        "center of shoulders": "spine at shoulders",
    },
    "h36m17": {
        "pelvis": "base of spine",
        "spine": "middle of spine",
        "thorax": "spine at shoulders",
    },
    # Kinect v2 has no face: all of it is the head, which leaves 13 joints that differ.
    "coco17": dict.fromkeys(("nose", "left eye", "right eye", "left ear", "right ear"), "head"),
}


def reduce_joints(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Select the joints of `skeleton` from bodies (M, T, 25, C), camera frame.

    Those of a 2-D skeleton are projected to pixels, y down, with a score of 1.
    """
    names = RENAMED[skeleton.name]
    rows = [NTU_25.joints.index(names.get(joint, joint)) for joint in skeleton.joints]
    joints = bodies[:, :, rows]
    if skeleton.dims == 3:
        return joints
    is_present = joints.any(axis=-1, keepdims=True)
    x, y, z = np.moveaxis(joints, -1, 0)
    z = np.where(z > 0, z, 1)
    pixels = [MIDDLE[0] - FOCAL * x / z, MIDDLE[1] - FOCAL * y / z, np.ones_like(x)]
    return np.stack(pixels, axis=-1) * is_present


class ReducedRecordings:
    """Conversion of `.skeleton` files to sequences of another skeleton."""

    def __init__(self, skeleton: Skeleton) -> None:
        unit, up = ("m", "y") if skeleton.dims == 3 else ("px", "-y")
        self.capture = CaptureSpec(skeleton, unit, up, skeleton)

    def __call__(self, file: RawFile) -> Outcome:
        """Convert one file. Raises RawFileError."""
        name = parse_ntu_name(file.stem)
        assert name is not None, "plan_job selects files by their names"
        bodies = select_bodies(parse_skeleton(file.read(), file.where))
        joints = reduce_joints(bodies, self.capture.skeleton)
        frames = normalize_bodies(joints, file.where, self.capture)
        numbers = name._asdict()
        label = numbers.pop("action") - 1
        return Outcome([SkeletonSequence(frames, file.stem, label=label, **numbers)], [])


def write_store(recordings: Path, skeleton: Skeleton, out: Path) -> None:
    """Convert NTU's `.skeleton` files to a store of another skeleton, unless it exists."""
    if out.exists():
        return
    job = Job(
        dataset="ntu60",
        skeleton=skeleton,
        class_names=class_names("ntu60"),
        split_rules={"xsub": NTU_DATASETS["ntu60"].rules["xsub"]},
        items=sorted(find_all([recordings], (SUFFIX,)), key=lambda file: file.stem),
        convert_item=ReducedRecordings(skeleton),
        rejected=[],
    )
    convert(job, out, num_workers=1)


def score(source: Path | ModuleBaseline, config: Config, clips: Clips) -> float:
    """Return cosine 1-NN in percent."""
    encoder, _ = load_encoder_or_baseline(source, config, clips.skeleton)
    gallery, queries = split_features(extract_features(encoder, clips, config.precision), clips)
    return accuracy_1nn(gallery, queries, clips.device)


def evaluate(name: str, config: Config, out: Path) -> dict[str, list[float]]:
    """Return 1-NN of the baselines and of a training with each seed; finished rows are read."""
    rows_path = out / f"{name}.jsonl"
    done = {}
    if rows_path.exists():
        rows = map(json.loads, rows_path.read_text(encoding="utf-8").splitlines())
        done = {(row["encoder"], row["seed"]): row["knn@1"] for row in rows}
    clips = load_clips(config.data, config.stream, resolve_device(config.device))
    for seed in SEEDS:
        for encoder in ENCODERS:
            if (encoder, seed) in done:
                continue
            seeded = config.model_copy(
                update={"seed": seed, "name": f"{name}_{seed}", "runs_dir": out / "runs"}
            )
            source: Path | ModuleBaseline
            source = pretrain(seeded, resume=True) if encoder == "trained" else encoder
            done[encoder, seed] = score(source, seeded, clips)
            row = {"set": name, "encoder": encoder, "seed": seed, "knn@1": done[encoder, seed]}
            row |= {"epochs": config.optim.epochs, "joints": clips.skeleton.name}
            with rows_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    return {encoder: [done[encoder, seed] for seed in SEEDS] for encoder in ENCODERS}


def format_row(name: str, scores: Mapping[str, list[float]]) -> list[str]:
    """Return the cells of a row: mean and the seeds of each encoder."""
    cells = [f"{scores['raw'][0]:.1f}"]
    for encoder in ("random-init", "trained"):
        seeds = " / ".join(f"{value:.1f}" for value in scores[encoder])
        cells.append(f"{statistics.mean(scores[encoder]):.1f} ({seeds})")
    return [name, *cells]


def main() -> None:
    """Compare skeletons: 1-NN of raw views, of random encoders and of trained ones, three seeds.

    UI-PRMD (its zip of .skeleton files) as 25, 20 and 17 joints in 3-D and 17 joints in 2-D, and
    any other stores, such as NW-UCLA natively and mapped to 25 joints.
    """
    parser = config_parser("", main.__doc__)
    parser.prog = "bench_skeletons.py"
    parser.add_argument("--recordings", type=Path, help="zip or folder of .skeleton files")
    parser.add_argument(
        "--store",
        action="append",
        default=[],
        metavar="NAME=PATH:BENCHMARK",
        help="another store to compare",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for stores, runs, rows")
    args = parser.parse_args()
    config = load_config(args.config, args.overrides)
    disable_malloc_trim()
    args.out.mkdir(parents=True, exist_ok=True)
    stores = {}
    for skeleton in (NTU_25, KINECT_V1_20, H36M_17, COCO_17) if args.recordings else ():
        path = args.out / f"{args.recordings.stem}_{skeleton.name}.h5"
        write_store(args.recordings, skeleton, path)
        stores[path.stem] = (path, "xsub")
    for given in args.store:
        name, _, rest = given.partition("=")
        path, _, benchmark = rest.rpartition(":")
        stores[name] = (Path(path), benchmark)
    rows = []
    for name, (path, benchmark) in stores.items():
        data = config.data.model_copy(update={"store": path, "benchmark": benchmark})
        own = config.model_copy(update={"data": data})
        rows.append(format_row(name, evaluate(name, own, args.out)))
    headers = [f"{config.stream}, 1-NN, percent", "raw", "random init", "trained"]
    print(tabulate(rows, headers, disable_numparse=True))


if __name__ == "__main__":
    run_command(main)
