"""Recordings of random actions: normalized, repeatable, and alike where the action is the same."""

import numpy as np
import pytest

from scdnet.skeletons import NTU_25
from scdnet.synthetic.random_dataset import RandomPlan, record_action

PLAN = RandomPlan(actions=12, people=3, cameras=2)


@pytest.fixture(scope="module")
def recorded():
    """The recordings of each action of PLAN."""
    return [record_action(number, PLAN) for number in range(PLAN.actions)]


def resample(frames: np.ndarray) -> np.ndarray:
    """Return 16 frames of the first body, as one vector."""
    rows = np.linspace(0, len(frames) - 1, 16).round().astype(int)
    return frames[rows, 0].ravel()


def test_names_are_sorted_and_state_action_person_and_camera(recorded):
    names = [sequence.name for sequences in recorded for sequence in sequences]
    assert names == sorted(set(names)) and len(names) == 12 * 3 * 2
    first = recorded[11][0]
    assert first.name == f"A000011P{first.subject:03d}C001" and first.label == 11


def test_an_action_is_the_same_in_datasets_of_any_size(recorded):
    larger = record_action(5, PLAN._replace(actions=1000, cameras=1))
    assert [sequence.name for sequence in larger] == [s.name for s in recorded[5][::2]]
    for sequence, other in zip(larger, recorded[5][::2], strict=True):
        assert np.array_equal(sequence.frames, other.frames)
    other_seed = record_action(5, PLAN._replace(seed=1))
    assert not np.array_equal(other_seed[0].frames[:10], recorded[5][0].frames[:10])


def test_sequences_are_normalized_with_one_body(recorded):
    for sequences in recorded:
        for sequence in sequences:
            frames = sequence.frames
            assert frames.dtype == np.float32 and np.isfinite(frames).all()
            assert not frames[:, 1].any()
            assert np.abs(frames[:, 0, NTU_25.center[0]]).max() < 1e-6
            left, right = (frames[0, 0, side[0]] for side in NTU_25.shoulders)
            across = right - left
            assert np.allclose(across[1:], 0, atol=1e-5) and across[0] > 0.1


def test_the_same_action_by_others_is_nearer_than_other_actions(recorded):
    x = np.stack([resample(sequence.frames) for sequences in recorded for sequence in sequences])
    x -= x.mean(axis=0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    label = np.array([s.label for sequences in recorded for s in sequences])
    person = np.array([s.subject for sequences in recorded for s in sequences])
    cosine = np.where(person[:, None] == person, -1, x @ x.T)
    hits = label[cosine.argmax(axis=1)] == label
    # By chance one in twelve.
    assert hits.mean() > 0.5


def test_half_of_the_actions_are_of_the_left_side():
    def variation(frames: np.ndarray, side: str) -> float:
        joints = [v for v, name in enumerate(NTU_25.joints) if f"{side} wrist" in name]
        return frames[:, 0, joints].std(axis=0).sum()

    plan = RandomPlan(people=1, cameras=1)
    is_left = []
    for number in range(60):
        (sequence,) = record_action(number, plan)
        left, right = (variation(sequence.frames, side) for side in ("left", "right"))
        if max(left, right) > 2 * min(left, right):
            is_left.append(left > right)
    assert len(is_left) > 15
    assert 0.25 < np.mean(is_left) < 0.75
