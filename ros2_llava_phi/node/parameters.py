"""
The node's parameters: names, meanings, defaults and limits stand here, and only here.

`make format` writes from it config/vqa.yaml, the table in docs/node.md, and what the launch file
says about its arguments. It needs no ROS.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.types import StringConstraints

from ros2_llava_phi.bags.bag import camera_topic
from ros2_llava_phi.engine.engine import EngineName, Precision
from ros2_llava_phi.errors import ParameterError
from ros2_llava_phi.files.settings import problems

# What `qos_overrides.TOPIC.subscription.POLICY` may be, in capitals or not; depth is a number.
QOS_VALUES = {
    'reliability': ('best_effort', 'reliable', 'best_available', 'system_default'),
    'history': ('keep_last', 'keep_all', 'system_default'),
}

# https://design.ros2.org/articles/topic_and_service_names.html
TOPIC_NAME = r'(~?/)?[A-Za-z_{][A-Za-z0-9_{}]*(/[A-Za-z_{][A-Za-z0-9_{}]*)*'
# A camera's name is part of parameter and topic names.
CAMERA_NAME = r'^[A-Za-z][A-Za-z0-9_]*$'
CameraName = Annotated[str, StringConstraints(pattern=CAMERA_NAME, max_length=64)]


def fixed(default: Any, description: str, **limits: Any) -> Any:
    """Declare a parameter that can change only while the node is unconfigured."""
    return Field(default, description=description, **limits)


def live(default: Any, description: str, **limits: Any) -> Any:
    """Declare a parameter that can change at any time."""
    return Field(default, description=description, json_schema_extra={'live': True}, **limits)


class CameraParameters(BaseModel):
    """The parameters of one camera; in ROS their names begin with the camera's and a dot."""

    model_config = ConfigDict(strict=True, extra='forbid', frozen=True)

    topic: str = fixed(
        '',
        'Topic of the camera NAME, subscribed to as it stands; empty: NAME/image_raw, or '
        "NAME/image_raw/compressed if the transport is compressed, below the node's namespace",
    )
    transport: Literal['raw', 'compressed'] = fixed(
        'raw', 'Message type of the topic: raw (sensor_msgs/Image) or compressed (CompressedImage)'
    )
    significant_bits: int = fixed(
        16, 'Bits that values of 16-bit pictures have: 12 where white is 4095', ge=8, le=16
    )

    @field_validator('topic')
    @classmethod
    def _is_a_name(cls, topic: str) -> str:
        if topic and not re.fullmatch(TOPIC_NAME, topic):
            raise ValueError(
                'a topic is letters, digits and _, between slashes, such as /front/image_raw; no '
                'part begins with a digit'
            )
        return topic


class Parameters(BaseModel):
    """All parameters of the node but those of single cameras, which `cameras` holds by name."""

    model_config = ConfigDict(strict=True, extra='forbid', frozen=True)

    model: str = fixed(
        'llava-phi-tiny', 'Folder of the model, or name of a packaged model', min_length=1
    )
    engine: Literal['auto', EngineName] = fixed(
        'auto',
        'What runs the model: onnxruntime an exported one, tensorrt plans, torch a checkpoint; '
        'auto: what fits the folder',
    )
    device: str = fixed(
        'auto',
        'Device that the engine runs on: cpu, cuda, cuda:1; auto: cuda for plans, else cpu',
        pattern=r'^(auto|cpu|cuda(:\d+)?)$',
    )
    precision: Literal['auto', Precision] = fixed(
        'auto',
        'Precision of the weights: fp32, bf16, fp16 for torch; auto: fp32, or what was exported',
    )
    threads: int = fixed(
        0,
        'Threads of the engine on CPUs; 0: one for each core that the process may use, but for '
        'one core where there are four or more; tensorrt takes no notice',
        ge=0,
        le=1024,
    )
    build_plans: bool = fixed(
        True, "Build TensorRT's plans for this machine where the model has none; takes minutes"
    )
    cameras: list[CameraName] = fixed(
        ['front'], 'Names of the cameras; the first one is the default', min_length=1
    )
    max_frame_age: float = live(
        1.0, 'Oldest frame to answer about where a request does not say [s]', ge=0.001, le=3600.0
    )
    default_timeout: float = live(
        10.0,
        'Time until the answer is needed where a request does not say [s]',
        ge=0.01,
        le=3600.0,
    )
    default_max_tokens: int = live(
        64, 'Most tokens of a free text where a request does not say', ge=1, le=4096
    )
    queue_length: int = fixed(8, 'Most questions that wait for the model', ge=1, le=1000)
    autostart: bool = fixed(
        True, 'Configure and activate without a lifecycle manager when started'
    )

    @field_validator('cameras')
    @classmethod
    def _names_differ(cls, names: list[str]) -> list[str]:
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f'the camera {twice[0]} stands twice; names must differ')
        return names


class Settings(BaseModel):
    """The whole set of parameters, valid together."""

    model_config = ConfigDict(frozen=True)

    node: Parameters
    cameras: dict[str, CameraParameters]

    def topic(self, camera: str) -> str:
        """Return the topic of a camera."""
        own = self.cameras[camera]
        return own.topic or camera_topic(camera, own.transport)


def validate(values: Mapping[str, Any]) -> Settings:
    """
    Return the settings that the values make, with defaults for what is left out.

    values: by ROS name, such as `max_frame_age` or `front.topic`; names that nobody reads
    (`unknown`) are ignored.

    Raises ParameterError, with one sentence for every wrong value.
    """
    _check_those_of_rclpy(values)
    own = {name: values[name] for name in Parameters.model_fields if name in values}
    node = _checked(Parameters, '', own)
    cameras = {
        camera: _checked(
            CameraParameters,
            f'{camera}.',
            {
                name: values[f'{camera}.{name}']
                for name in CameraParameters.model_fields
                if f'{camera}.{name}' in values
            },
        )
        for camera in node.cameras
    }
    return Settings(node=node, cameras=cameras)


def flat(settings: Settings) -> dict[str, Any]:
    """Return every parameter by its ROS name."""
    values = settings.node.model_dump()
    for camera, own in settings.cameras.items():
        values.update({f'{camera}.{name}': value for name, value in own.model_dump().items()})
    return values


def is_live(name: str) -> bool:
    """Return whether the parameter of that ROS name may change while the node is configured."""
    field = Parameters.model_fields.get(name)
    return field is not None and bool(field.json_schema_extra)


def unknown(names: Iterable[str], settings: Settings) -> list[str]:
    """Return the names that are neither ours nor those of rclpy itself, sorted."""
    known = flat(settings)
    return sorted(
        name
        for name in names
        if name not in known
        and name not in ('use_sim_time', 'start_type_description_service')
        and not name.startswith('qos_overrides.')
    )


def is_of_a_camera(name: str) -> bool:
    """Return whether a parameter of that ROS name is one that a camera may have."""
    camera, _, own = name.rpartition('.')
    return own in CameraParameters.model_fields and bool(re.fullmatch(CAMERA_NAME, camera))


def _check_those_of_rclpy(values: Mapping[str, Any]) -> None:
    """Raise ParameterError for what rclpy would take no notice of, or fail at much later."""
    for name, value in values.items():
        policy = name.rpartition('.')[2] if name.startswith('qos_overrides.') else ''
        right = ''
        if name == 'use_sim_time' and not isinstance(value, bool):
            right = 'true or false'
        elif policy == 'depth' and (type(value) is not int or value < 0):
            right = 'a number of messages'
        elif policy in QOS_VALUES and str(value).lower() not in QOS_VALUES[policy]:
            right = ', '.join(QOS_VALUES[policy])
        if right:
            raise ParameterError(f'the parameter {name} cannot be {value!r}: it is {right}')


def _checked(model: type[Any], prefix: str, values: Mapping[str, Any]) -> Any:
    try:
        return model(**values)
    except ValidationError as error:
        raise ParameterError(
            '; '.join(_sentence(prefix, one) for one in problems(error))
        ) from None


def _sentence(prefix: str, error: Any) -> str:
    name = prefix + '.'.join(str(part) for part in error['loc'] if isinstance(part, str))
    wrong = error['msg']
    return f'the parameter {name} cannot be {error["input"]!r}: {wrong[0].lower()}{wrong[1:]}'
