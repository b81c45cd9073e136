from scdnet.config import Config
from scdnet.eval.features import extraction_settings
from scdnet.eval.protocols import hash_of


def test_settings_are_told_apart_by_what_is_no_default():
    default = extraction_settings(Config())
    of_default = hash_of(default, {"views": {}})
    older = {key: value for key, value in default.items() if key not in ("pooling", "feature_level")}
    assert hash_of(older, {"views": {}}) == of_default  # keys that are younger than the file
    assert (
        hash_of({**default, "stream": "bone"}, {"views": {}}) == of_default
    )  # it has a key of its own
    others = [
        ({**default, "num_frames": 32}, {}),
        ({**default, "seed": 1}, {}),
        (default, {"views": {"flip_prob": 0}}),
    ]
    assert len({of_default, *(hash_of(*values) for values in others)}) == 4
