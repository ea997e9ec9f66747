"""The node's parameters in ROS: declared, described, and wrong ones refused."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from ros2_llava_phi.errors import ParameterError

from .parameters import (
    CameraParameters,
    Parameters,
    flat,
    is_live,
    is_of_a_camera,
    unknown,
    validate,
)


class ParameterServer:
    """
    Keep a node's parameters and the validated settings they make.

    A camera's own parameters are there as long as the camera is: the node is to call
    `before_change` and `after_change` around every change, as a callback of rclpy cannot declare
    any. (Callbacks after a change came with Iron.)

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
        self.after_change()
        node.add_on_set_parameters_callback(self._check)

    def before_change(self, names: Iterable[str]) -> None:
        """Declare the names that are of a camera, which may be named later, or with them."""
        for name in names:
            if is_of_a_camera(name) and not self._node.has_parameter(name):
                self._declare(name, _field(name).default)

    def after_change(self) -> None:
        """Declare what the cameras may have, and forget what says nothing about no camera."""
        wanted = flat(self.settings)
        for name, value in wanted.items():
            if not self._node.has_parameter(name):
                self._declare(name, value)
            elif self._node.describe_parameter(name).description != _descriptor(name).description:
                self._node.undeclare_parameter(name)
                self._declare(name, value)
        for name, value in self._values().items():
            if name not in wanted and is_of_a_camera(name) and value == _field(name).default:
                self._node.undeclare_parameter(name)

    def _declare(self, name: str, value: Any) -> None:
        self._node.declare_parameter(name, value, _descriptor(name), ignore_override=True)

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
