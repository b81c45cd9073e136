"""A synthetic body that walks on the spot, in every layout of custom recordings."""

import io

import numpy as np

from scdnet.skeletons import NTU_25, SKELETONS


def walk(num_frames: int = 12) -> dict[str, np.ndarray]:
    """Return the positions (T, 3) of each joint of NTU_25: meters, 3 m from the camera, facing it.

    Joints that layouts lack are where the rules put them, so that all layouts give the same body.
    """
    phase = np.linspace(0, 5, num_frames)

    def place(x: float, y: float, z: float, swing: float = 0.0) -> np.ndarray:
        return np.stack(
            [x + 0.03 * np.sin(2 * phase), np.full(num_frames, y), 3 + z + swing * np.sin(phase)],
            axis=1,
        )

    body = {
        "base of spine": place(0, 0, 0),
        "spine at shoulders": place(0, 0.5, 0),
        "head": place(0, 0.7, 0.02),
    }
    body["middle of spine"] = 0.42 * body["base of spine"] + 0.58 * body["spine at shoulders"]
    body["neck"] = 0.65 * body["spine at shoulders"] + 0.35 * body["head"]
    for side, x in (("left", -1), ("right", 1)):
        # The line of the shoulders is not at right angles to the spine.
        body[f"{side} shoulder"] = place(0.17 * x, 0.5 + 0.02 * x, 0)
        body[f"{side} elbow"] = place(0.2 * x, 0.25, 0, swing=0.1 * x)
        body[f"{side} wrist"] = place(0.22 * x, 0.02, -0.02, swing=0.25 * x)
        body[f"{side} hand"] = place(0.22 * x, -0.04, -0.04, swing=0.28 * x)
        body[f"tip of {side} hand"] = 2 * body[f"{side} hand"] - body[f"{side} wrist"]
        body[f"{side} thumb"] = 1.15 * body[f"{side} hand"] - 0.15 * body[f"{side} wrist"]
        body[f"{side} hip"] = place(0.08 * x, 0, 0)
        body[f"{side} knee"] = place(0.09 * x, -0.4, -0.02, swing=-0.1 * x)
        body[f"{side} ankle"] = place(0.1 * x, -0.8, 0, swing=-0.2 * x)
        body[f"{side} foot"] = place(0.1 * x, -0.86, -0.12, swing=-0.2 * x)
    return body


def walking(layout: str, num_frames: int = 12) -> np.ndarray:
    """Return the walk as (T, V, 3) in the joints of a layout."""
    body = walk(num_frames)
    up, right, back = np.eye(3)[[1, 0, 2]]
    body["center of hips"] = body["base of spine"] + 0.07 * up
    body["spine"] = body["base of spine"] + 0.14 * up
    body["center of shoulders"] = body["spine at shoulders"]
    body["nose"] = body["head"] - 0.1 * back
    for side, x in (("left", -1), ("right", 1)):
        for name, outwards in (("eye (inner)", 0.02), ("eye", 0.03), ("eye (outer)", 0.04)):
            body[f"{side} {name}"] = body["head"] + x * outwards * right + 0.02 * up - 0.09 * back
        body[f"mouth ({side})"] = body["head"] + x * 0.03 * right - 0.06 * up - 0.09 * back
        body[f"{side} ear"] = body["head"] + x * 0.07 * right
        hand, wrist = body[f"{side} hand"], body[f"{side} wrist"]
        body[f"{side} index"] = 1.5 * hand - 0.5 * wrist - 0.03 * back
        body[f"{side} pinky"] = 3 * hand - wrist - body[f"{side} index"]
        body[f"{side} heel"] = body[f"{side} ankle"] - 0.05 * up + 0.05 * back
        body[f"{side} foot index"] = body[f"{side} foot"]
        for collar in ("clavicle", "collar"):
            body[f"{side} {collar}"] = body["spine at shoulders"] + 0.05 * x * right
    body["pelvis"] = body["base of spine"]
    body["torso"] = body["middle of spine"]
    body["thorax"] = body["spine at shoulders"]
    for height, joint in ((0.1, "spine 1"), (0.2, "navel"), (0.25, "spine 2"), (0.35, "chest")):
        body[joint] = body["base of spine"] + height * up
    body["spine 3"] = body["chest"]
    if layout in ("azure32", "openni15", "smpl24"):
        body["neck"] = body["spine at shoulders"]
    if layout == "h36m17":
        body["neck"] = body["head"] - 0.1 * up - 0.05 * back
        body["head"] = body["head"] + 0.1 * up + 0.05 * back
    return np.stack([body[joint] for joint in SKELETONS[layout].joints], axis=1)


# A layout that lacks these joints has them guessed from the limb, which bends in another way.
GUESSED = {"h36m17": ("hand", "foot", "thumb"), "openni15": ("wrist", "ankle", "tip", "thumb")}


def known_joints(layout: str) -> list[int]:
    """Return the joints of NTU_25 that the rules of a layout find in the walk."""
    words = GUESSED.get(layout, ())
    return [v for v, joint in enumerate(NTU_25.joints) if not any(word in joint for word in words)]


def walked() -> np.ndarray:
    """Return the walk as (T, 25, 3) in the joints of NTU_25."""
    body = walk()
    return np.stack([body[joint] for joint in NTU_25.joints], axis=1)


def npz(*arrays: np.ndarray, **named: np.ndarray) -> bytes:
    """Return the content of a `.npz` of these arrays."""
    file = io.BytesIO()
    np.savez(file, *arrays, **named)
    return file.getvalue()


def csv(frames: np.ndarray) -> bytes:
    """Return the content of a `.csv` of (T, V, 3) or (T, M, V, 3), with all digits."""
    rows = frames.reshape(len(frames), -1).tolist()
    return "".join(",".join(map(repr, row)) + "\n" for row in rows).encode()
