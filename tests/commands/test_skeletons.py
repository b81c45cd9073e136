"""All that is done with a store is done with the joints that it contains."""

import json

import h5py
import pytest

from scdnet import load_classifier, load_encoder, open_sequences
from scdnet.errors import ScdnetError
from scdnet.skeleton import Skeleton
from scdnet.skeletons import COCO_17, MEDIAPIPE_33, NTU_25
from tests.conftest import write_synthetic_store
from tests.stores import CRANE


@pytest.mark.end_to_end
@pytest.mark.parametrize(
    ("skeleton", "stream"),
    [
        pytest.param(COCO_17, "motion", marks=pytest.mark.slow),
        pytest.param(MEDIAPIPE_33, "bone", marks=pytest.mark.slow),
        (CRANE, "joint"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_store_of_any_joints_is_examined_drawn_trained_on_and_evaluated(
    run, config_path, tmp_path, skeleton: Skeleton, stream: str
):
    path = write_synthetic_store(tmp_path / "own.h5", skeleton=skeleton)
    given = ("-c", config_path, f"data.store={path}", f"stream={stream}", "optim.epochs=1")

    def succeed(program: str, *arguments: object) -> str:
        done = run(program, *arguments)
        assert done.status == 0, done.err
        return done.out

    assert f"joints of {skeleton.name}" in succeed("tools/doctor.py", *given)
    succeed("data_prep/inspect_store.py", path)
    succeed("data_prep/inspect_store.py", path, "--contact-sheet", tmp_path / "sheet.png")
    succeed("tools/train.py", *given, "eval_every=1")
    checkpoint = tmp_path / "runs/small/last.pt"
    features = tmp_path / "features.h5"
    source = ("--checkpoint", checkpoint)
    succeed("tools/extract_features.py", *given, *source, "--out", features)
    for protocol in ("knn", "linear"):
        succeed(f"tools/eval_{protocol}.py", *given, "linear.optim.epochs=2", *source)
    quick = ("finetune.optim.epochs=1", "finetune.optim.milestones=[]")
    succeed("tools/eval_finetune.py", *given, *quick, *source)
    for baseline in ("raw", "raw-pca", "random-init"):
        succeed("tools/eval_knn.py", *given, "--baseline", baseline)

    assert load_encoder(checkpoint).skeleton == skeleton
    with h5py.File(features) as file:
        assert Skeleton.from_dict(json.loads(file.attrs["skeleton"])) == skeleton
    classify = load_classifier(checkpoint, features)
    with open_sequences(path) as store:
        assert classify(store[5].frames).neighbours[0].name == store[5].name
    other = write_synthetic_store(tmp_path / "ntu25.h5")
    with open_sequences(other) as store, pytest.raises(ScdnetError, match=f"of {skeleton.name}"):
        classify(store[5].frames)
    assert store.skeleton == NTU_25
