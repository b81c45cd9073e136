import zlib

import numpy as np
import pytest

from scdnet.report.motion import (
    ABSENT,
    MAX_FRAMES,
    STEP,
    MotionWriter,
    quantize,
)
from scdnet.skeletons import COCO_17, NTU_25

ROOM = 10**9


def make_frames(num: int, bodies: int = 2, seed: int = 0) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(scale=0.02, size=(num, 2, 25, 3))
    frames = steps.cumsum(axis=0).astype(np.float32) + 0.5
    frames[:, bodies:] = 0
    return frames


def read_motion(blocks: list[bytes]) -> np.ndarray:
    """Decompress blocks to the numbers (n,) of all sequences, as the page does."""
    parts = []
    for block in blocks:
        planes = np.frombuffer(zlib.decompress(block), np.uint8).reshape(2, -1)
        parts.append(np.ascontiguousarray(planes.T).view("<u2")[:, 0])
    return np.concatenate(parts)


def read_sequence(writer: MotionWriter, placed, skeleton=NTU_25) -> np.ndarray:
    shape = (placed.num_frames, placed.num_bodies, skeleton.num_joints, skeleton.dims)
    numbers = read_motion(writer.blocks)[placed.offset :][: np.prod(shape)].reshape(shape)
    return numbers.cumsum(axis=0, dtype=np.uint16).astype(np.int16)


def test_what_the_page_reads_is_every_second_frame_in_whole_millimeters():
    writer = MotionWriter(NTU_25, ROOM)
    sequences = [make_frames(40, bodies=1 + seed % 2, seed=seed) for seed in range(4)]
    placed = [writer.add(frames) for frames in sequences]
    writer.flush()
    for frames, place in zip(sequences, placed, strict=True):
        found = read_sequence(writer, place)
        expected = frames[::STEP, : place.num_bodies]
        assert found.shape == expected.shape
        assert found / 1000 == pytest.approx(expected, abs=0.0005001)


def test_blocks_are_what_a_browser_inflates():
    writer = MotionWriter(NTU_25, ROOM)
    writer.add(make_frames(4))
    writer.flush()
    (block,) = writer.blocks
    assert len(zlib.decompress(block)) == 2 * 2 * 2 * 25 * 3


def test_a_body_that_is_absent_in_a_frame_is_marked():
    frames = make_frames(8)
    frames[4:, 1] = 0
    assert (quantize(frames, NTU_25)[2:, 1] == ABSENT).all()
    assert (quantize(frames, NTU_25)[:2, 1] != ABSENT).all()


def test_a_second_body_that_never_appears_takes_no_room():
    assert quantize(make_frames(8, bodies=1), NTU_25).shape[1] == 1


def test_joints_of_images_without_a_score_are_marked_and_the_score_is_dropped():
    frames = np.ones((6, 1, 17, 3), dtype=np.float32)
    frames[:, 0, 3, 2] = 0
    numbers = quantize(frames, COCO_17)
    assert numbers.shape == (3, 1, 17, 2)
    assert (numbers[:, 0, 3] == ABSENT).all()
    assert (numbers[:, 0, [0, 1, 2, *range(4, 17)]] == 1000).all()


def test_long_sequences_are_cut_and_say_so():
    placed = MotionWriter(NTU_25, ROOM).add(make_frames(STEP * MAX_FRAMES + 2))
    assert placed.num_frames == MAX_FRAMES
    assert placed.is_cut
    assert not MotionWriter(NTU_25, ROOM).add(make_frames(STEP * MAX_FRAMES)).is_cut


def test_joints_that_jump_far_away_stay_within_the_numbers():
    frames = make_frames(4)
    frames[:, 0, 0, 0] = 1e6
    numbers = quantize(frames, NTU_25)
    assert numbers[:, 0, 0, 0].min() > 30_000
    assert numbers[:, 0, 0, 1].max() < 30_000


def test_a_writer_is_full_when_its_blocks_have_the_bytes():
    writer = MotionWriter(NTU_25, 100)
    writer.add(make_frames(40))
    assert not writer.is_full
    writer.flush()
    assert writer.is_full
