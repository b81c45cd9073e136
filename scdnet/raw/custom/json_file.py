"""Custom recordings as `.json`: whose structure it is (docs/data/own.md)."""

from scdnet.raw.custom.azure import JOINT_NAMES, read_azure
from scdnet.raw.custom.json_text import parse_json
from scdnet.raw.custom.mediapipe import find_frames, read_mediapipe
from scdnet.raw.custom.openpose import PEOPLE, read_openpose
from scdnet.raw.custom.reading import Reading
from scdnet.raw.raw_files import RawFileError
from scdnet.skeleton import Skeleton


def read_json(data: bytes, where: str, skeleton: Skeleton) -> Reading:
    """Read the content of a `.json` file in its unit and axes.

    It is of OpenPose (one frame, or a list of frames), of Azure Kinect's offline processor or of
    MediaPipe. Raises RawFileError for another structure and for other joints.
    """
    content = parse_json(data, where)
    documents = content if isinstance(content, list) else [content]
    if documents and all(isinstance(item, dict) and PEOPLE in item for item in documents):
        bodies = read_openpose(documents, where, skeleton)
    elif isinstance(content, dict) and JOINT_NAMES in content:
        bodies = read_azure(content, where, skeleton)
    else:
        frames = find_frames(content)
        if not frames:
            found = ", ".join(map(repr, content)) if isinstance(content, dict) else "other content"
            raise RawFileError(
                where,
                0,
                "expected JSON of OpenPose ('people'), of Azure Kinect ('joint_names', 'frames') "
                f"or a list of frames of MediaPipe's world landmarks, found {found:.200}",
            )
        bodies = read_mediapipe(frames, where, skeleton)
    return Reading(bodies)
