import numpy as np

from scdnet.raw.datasets import class_names
from scdnet.synthetic.actions import ACTIONS, STANDING, pose_vector
from scdnet.synthetic.body import NUM_CHANNELS, SLICES


def test_every_key_pose_contains_known_channels_of_the_right_size():
    for action in ACTIONS.values():
        for key in action.cycle:
            for pose in (key.pose, key.partner, action.start, action.end, STANDING):
                for channel, value in pose.items():
                    assert np.size(value) == SLICES[channel].stop - SLICES[channel].start
    assert pose_vector({}).shape == (NUM_CHANNELS,)


def test_there_are_enough_actions_of_which_two_take_two_people():
    assert len(ACTIONS) >= 10
    assert sum(action.num_bodies == 2 for action in ACTIONS.values()) >= 2
    assert max(ACTIONS) <= len(class_names("ntu60"))
