"""
What differs between the distributions of ROS 2, in this one place.

All else uses only what every supported one has; tools/ros_api.py holds it to that.
"""

from rclpy.node import Node
from rclpy.subscription import Subscription


def destroy_subscription(node: Node, subscription: Subscription) -> None:
    """
    Unsubscribe, whichever thread this is, while a SingleThreadedExecutor may spin the node.

    Until Jazzy, rclpy raises InvalidHandle for a message that its executor has found but not
    taken when the subscription goes, and never lets go of the callback group, which then runs no
    callback any more (ros2/rclpy#1142, mended by #1150, not in Humble). So the executor does it
    itself, between two rounds of waiting.
    """
    if node.executor is None:
        node.destroy_subscription(subscription)
    else:
        node.executor.create_task(node.destroy_subscription, subscription)
