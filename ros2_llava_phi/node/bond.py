"""The bond by which a lifecycle manager such as Nav2's watches an active node (ros/bond_core)."""

from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node

from ros2_llava_phi.client.distributions import between_rounds

# As Nav2's own nodes and its manager have it, in seconds.
TOPIC = 'bond'
HEARTBEAT_PERIOD = 0.1
HEARTBEAT_TIMEOUT = 4.0

# What bondpy declares when the manager falls silent, and, until 4.1.3, again the next time, which
# raises (ros/bond_core#114).
DISABLED = '/bond_disable_heartbeat_timeout'

# How long the manager may take to say that it has heard of the end, in seconds.
FAREWELL = 0.5


class ManagerBond:
    """
    A node's side of the bond; where bondpy is not installed, nothing.

    Both sides say every 0.1 s on one topic, under the node's name, that they are alive. Who is
    not heard for 4 s counts as dead, and so does who says goodbye. Without a manager, the node
    gives up after 10 s, without a word.
    """

    def __init__(self, node: Node) -> None:
        """Be ready to join for that node."""
        self._node = node
        self._bond: Any = None
        self._formed = False

    def join(self) -> None:
        """Say from now on that the node is alive."""
        try:
            from bondpy.bondpy import Bond
        except ImportError:  # that of ROS 1, too, lacks what it imports
            return
        self._formed = False
        self._bond = Bond(
            node=self._node,
            topic=TOPIC,
            bond_id=self._node.get_name(),
            on_broken=self._on_broken,
            on_formed=self._on_formed,
        )
        self._bond.set_heartbeat_period(HEARTBEAT_PERIOD)
        self._bond.set_heartbeat_timeout(HEARTBEAT_TIMEOUT)
        self._bond.start()

    def leave(self) -> None:
        """Say goodbye, where there is a bond; callable again."""
        bond, self._bond = self._bond, None
        if bond is None:
            return
        bond.set_broken_callback(None)
        bond.break_bond()
        bond.wait_until_broken(Duration(seconds=FAREWELL))
        if self._node.has_parameter(DISABLED):
            self._node.undeclare_parameter(DISABLED)
        between_rounds(self._node, lambda: self._free(bond))

    def _free(self, bond: Any) -> None:
        # Its own shutdown would destroy what the node still has in its lists, and the executor
        # would raise InvalidHandle in every round from then on.
        with bond.lock:
            bond.is_shutdown = True
            bond.condition.notify_all()
        bond.connect_timer.cancel()
        self._node.destroy_subscription(bond.sub)
        self._node.destroy_publisher(bond.pub)

    def _on_formed(self) -> None:
        self._formed = True
        self._node.get_logger().info('there is a bond with the lifecycle manager')

    def _on_broken(self) -> None:
        if self._formed:
            self._node.get_logger().warning(
                'the bond with the lifecycle manager is broken: it ended, or was not heard for '
                f'{HEARTBEAT_TIMEOUT:g} s'
            )
