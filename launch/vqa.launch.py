"""Launch the node that answers questions about what cameras see."""

from pathlib import Path
from typing import List  # noqa: UP035

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, TimerAction
from launch.launch_description_entity import LaunchDescriptionEntity
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription
from ros2_llava_phi.errors import ParameterError
from ros2_llava_phi.node.launch_arguments import (
    DESCRIPTIONS,
    find_params_file,
    put_back,
    read_defaults,
    take,
    to_parameters,
)


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments and the node."""
    outer: dict[str, str] = {}

    def remember(context: LaunchContext) -> list[LaunchDescriptionEntity]:
        # Before the arguments are declared, only those that somebody gave are set: they win over
        # the params file, their defaults do not.
        outer.update(context.launch_configurations)
        return []

    def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
        try:
            return [node(context, take(outer, context.argv))]
        except ParameterError as error:
            reason = error

        def refuse(context: LaunchContext) -> None:
            raise reason

        # Raised now, launch would forget the nodes that it has just started, and not end them.
        return [TimerAction(period=0.0, actions=[OpaqueFunction(function=refuse)])]

    return LaunchDescription(
        [OpaqueFunction(function=remember), *arguments(), OpaqueFunction(function=start)]
    )


def node(context: LaunchContext, given: dict[str, str]) -> LifecycleNode:
    """Return the node with the arguments given to this include; leave none of our defaults."""
    chosen = dict(context.launch_configurations)
    put_back(context.launch_configurations, given)
    # With its type said, launch_ros does not read a text as YAML: a device '0' stays a text.
    # It knows lists only by their old name.
    kinds = {list: List[str]}  # noqa: UP006
    own = {
        name: ParameterValue(value, value_type=kinds.get(type(value), type(value)))
        for name, value in to_parameters(given).items()
    }
    params_file = find_params_file(chosen['params_file'])
    # launch_ros puts what SetParameter says behind the arguments for ROS, and before the
    # parameters: it wins over our own defaults, but not over what is given here.
    defaults = [] if 'params_file' in given else ['--params-file', params_file]
    return LifecycleNode(
        package='llava_phi',
        executable='vqa_node',
        name=chosen['node_name'],
        namespace=chosen['namespace'],
        parameters=[*([params_file] if 'params_file' in given else []), own],
        ros_arguments=['--log-level', chosen['log_level'], *defaults],
        output='screen',
        emulate_tty=True,
    )


def arguments() -> list[DeclareLaunchArgument]:
    """Return the launch arguments, with the node's own defaults."""
    config = Path(get_package_share_directory('llava_phi'), 'config', 'vqa.yaml')
    defaults = read_defaults(config)
    own = [
        DeclareLaunchArgument(name, default_value=defaults[name], description=f'{description}.')
        for name, description in DESCRIPTIONS.items()
    ]
    return [
        *own,
        DeclareLaunchArgument(
            'cameras',
            default_value=defaults['cameras'],
            description='Names and topics of the cameras, the default camera first, such as '
            "'front=/front/image_raw rear=/rear/image_raw'. A topic is subscribed to as it "
            'stands, whatever the transport. Without one: what the params file says, else '
            'NAME/image_raw, or NAME/image_raw/compressed if the transport is compressed.',
        ),
        DeclareLaunchArgument(
            'transport',
            default_value='raw',
            choices=['raw', 'compressed'],
            description='Message type of all topics in cameras: sensor_msgs/Image (raw) or '
            'CompressedImage; with it, write the whole name, such as '
            "'front=/front/image_raw/compressed'. A params file can say it for each camera.",
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value=str(config),
            description='YAML file with parameters of the node; arguments given here win over it.',
        ),
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of the node, such as robot1.'
        ),
        DeclareLaunchArgument(
            'node_name', default_value='vqa_node', description='Name of the node.'
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='Least severe log messages that are shown.',
        ),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='false',
            description='Take the time from /clock, as with a simulator or a replayed recording.',
        ),
    ]
