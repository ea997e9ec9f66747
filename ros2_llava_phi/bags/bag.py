"""What reading and writing a recording share: storages, message types, the error."""

from enum import Enum

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'


class Storage(str, Enum):
    """How a rosbag2 lies on disk; the values are rosbag2's own names."""

    MCAP = 'mcap'
    SQLITE3 = 'sqlite3'


class Transport(str, Enum):
    """How a camera's pictures travel; the values are image_transport's own names."""

    RAW = 'raw'
    COMPRESSED = 'compressed'
