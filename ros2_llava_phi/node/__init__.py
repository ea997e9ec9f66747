"""The ROS 2 face of the assistant."""
