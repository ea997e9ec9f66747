"""
The node's parameters: names, meanings, defaults and limits stand here, and only here.

`make format` writes from it config/vqa.yaml, the table in docs/node.md, and what the launch file
says about its arguments.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic.types import StringConstraints
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from ros2_llava_phi.errors import ParameterError

# A camera's name is part of parameter and topic names.
CameraName = Annotated[str, StringConstraints(pattern=r'^[A-Za-z][A-Za-z0-9_]*$', max_length=64)]


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


class Parameters(BaseModel):
    """All parameters of the node but those of single cameras, which `cameras` holds by name."""

    model_config = ConfigDict(strict=True, extra='forbid', frozen=True)

    model: str = fixed(
        'llava-phi-tiny', 'Folder of the model, or name of a packaged model', min_length=1
    )
    engine: Literal['auto', 'onnxruntime', 'tensorrt', 'torch'] = fixed(
        'auto',
        'What runs the model: onnxruntime an exported one, tensorrt plans, torch a checkpoint; '
        'auto: what fits the folder',
    )
    device: str = fixed(
        'auto',
        'Device that the engine runs on: cpu, cuda, cuda:1; auto: cuda for plans, else cpu',
        pattern=r'^(auto|cpu|cuda(:\d+)?)$',
    )
    precision: Literal['auto', 'fp32', 'bf16', 'fp16', 'int8', 'int4', 'mixed'] = fixed(
        'auto',
        'Precision of the weights: fp32, bf16, fp16 for torch; auto: fp32, or what was exported',
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
        compressed = '/compressed' if own.transport == 'compressed' else ''
        return own.topic or f'{camera}/image_raw{compressed}'


def validate(values: Mapping[str, Any]) -> Settings:
    """
    Return the settings that the values make, with defaults for what is left out.

    values: by ROS name, such as `max_frame_age` or `front.topic`; names that are no parameter of
    ours (`unknown`) are ignored.

    Raises ParameterError, with one sentence for every wrong value.
    """
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


class ParameterServer:
    """
    Keep a node's parameters and the validated settings they make.

    The node must have been made with `automatically_declare_parameters_from_overrides`: what a
    params file or a command line says is then there to be checked.
    """

    def __init__(self, node: Node, changeable: Callable[[], bool]) -> None:
        """
        Declare the parameters, with what was given for them at start.

        changeable: whether the fixed parameters may change now, too.

        Raises ParameterError for wrong values.
        """
        self._node = node
        self._changeable = changeable
        self.settings = validate(self._values())
        self.declare()
        node.add_on_set_parameters_callback(self._check)

    def declare(self) -> None:
        """Declare what is not declared yet, such as the parameters of a camera added since."""
        for name, value in flat(self.settings).items():
            described = _descriptor(name)
            if self._node.has_parameter(name):
                if self._node.describe_parameter(name).description == described.description:
                    continue
                self._node.undeclare_parameter(name)
            self._node.declare_parameter(name, value, described, ignore_override=True)

    def misspelt(self) -> list[str]:
        """Return one sentence for every parameter that was given but that nobody reads."""
        sentences = []
        for name in unknown(self._values(), self.settings):
            near = difflib.get_close_matches(name, flat(self.settings), 1)
            hint = f'; did you mean {near[0]}?' if near else ''
            sentences.append(f'nobody reads the parameter {name}{hint}')
        return sentences

    def _values(self) -> dict[str, Any]:
        # rclpy says that these were values; they are Parameters.
        found: Any = self._node.get_parameters_by_prefix('')
        return {name: parameter.value for name, parameter in found.items()}

    def _check(self, changes: list[Parameter]) -> SetParametersResult:
        given = {change.name: change.value for change in changes}
        try:
            settings = validate({**self._values(), **given})
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        before, after = flat(self.settings), flat(settings)
        fixed = [name for name in given if after.get(name) != before.get(name)]
        fixed = [name for name in fixed if not is_live(name)]
        if fixed and not self._changeable():
            return SetParametersResult(
                successful=False,
                reason=f'the parameter {fixed[0]} can change only while the node is unconfigured; '
                'deactivate it and clean it up first',
            )
        self.settings = settings
        return SetParametersResult(successful=True)


def _checked(model: type[Any], prefix: str, values: Mapping[str, Any]) -> Any:
    try:
        return model(**values)
    except ValidationError as error:
        raise ParameterError('; '.join(_sentence(prefix, one) for one in error.errors())) from None


def _sentence(prefix: str, error: Any) -> str:
    name = prefix + '.'.join(str(part) for part in error['loc'] if isinstance(part, str))
    wrong = error['msg'].removeprefix('Value error, ')
    return f'the parameter {name} cannot be {error["input"]!r}: {wrong[0].lower()}{wrong[1:]}'


def _descriptor(name: str) -> ParameterDescriptor:
    field = _field(name)
    descriptor = ParameterDescriptor(
        name=name,
        description=field.description or '',
        additional_constraints=''
        if is_live(name)
        else 'Can change only while the node is unconfigured.',
    )
    low = next((limit.ge for limit in field.metadata if isinstance(limit, Ge)), None)
    high = next((limit.le for limit in field.metadata if isinstance(limit, Le)), None)
    if low is not None and high is not None:
        if field.annotation is int:
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor


def _field(name: str) -> FieldInfo:
    camera, _, own = name.rpartition('.')
    return CameraParameters.model_fields[own] if camera else Parameters.model_fields[name]
