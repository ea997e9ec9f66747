"""What a recording's metadata.yaml announces."""

from dataclasses import dataclass, field
from pathlib import Path

from ros2_llava_phi.errors import BagError, FileError
from ros2_llava_phi.files.yaml_file import read_yaml

METADATA_FILE = 'metadata.yaml'


@dataclass(frozen=True)
class Metadata:
    """
    Which files and messages there should be; whatever else stands there, the files know better.

    files: their names. counts: the number of messages of each topic.
    """

    files: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)


def read_metadata(folder: Path) -> Metadata:
    """Read a recording's metadata.yaml; raises BagError if it is missing or of another form."""
    path = folder / METADATA_FILE
    if not path.is_file():
        raise BagError(
            f'{folder} has no {METADATA_FILE}: it was not closed, or copied without it; '
            '`ros2 bag reindex` writes a new one'
        )
    try:
        content = read_yaml(path)['rosbag2_bagfile_information']
        counts: dict[str, int] = {}
        for each in content['topics_with_message_count']:
            topic = str(each['topic_metadata']['name'])
            counts[topic] = counts.get(topic, 0) + int(each['message_count'])
        # Older distributions name files with the folder before them.
        files = tuple(Path(each).name for each in content['relative_file_paths'])
        if isinstance(content['relative_file_paths'], str):
            raise TypeError('relative_file_paths is no list')
    except FileError as error:
        raise BagError(
            f'{path.name} cannot be read: {error}; `ros2 bag reindex` writes a new one'
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        wrong = f'it has no {error}' if isinstance(error, KeyError) else 'not as rosbag2 writes it'
        raise BagError(
            f'{path} cannot be read: {wrong}; `ros2 bag reindex` writes a new one'
        ) from error
    return Metadata(files, counts)
