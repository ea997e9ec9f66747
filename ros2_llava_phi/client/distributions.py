"""
What differs between the distributions of ROS 2, in this one place.

All else uses only what every supported one has; tools/ros_api.py holds it to that.
"""

from collections.abc import Callable

from rclpy.node import Node


def between_rounds(node: Node, destroy: Callable[[], object]) -> None:
    """
    Destroy something of a node's, whichever thread this is, while a SingleThreadedExecutor spins.

    Until Jazzy, rclpy raises InvalidHandle for a message that its executor has found but not
    taken when the subscription goes, and never lets go of the callback group, which then runs no
    callback any more (ros2/rclpy#1142, mended by #1150, not in Humble). So the executor does it
    itself, between two rounds of waiting; at once where none spins the node.
    """
    if node.executor is None:
        destroy()
    else:
        node.executor.create_task(destroy)
