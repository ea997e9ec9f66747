#!/usr/bin/env bash
# The environment of the checkout: its virtual environment, ROS 2 and the built interfaces.
#   tools/env.sh COMMAND...     runs a command in it
#   source tools/env.sh         makes it the environment of this shell (bash)
# VENV names another virtual environment, for example VENV=.venv-kilted.

_checkout="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
_venv="$_checkout/${VENV:-.venv}"

# What belongs to another ROS 2 or Python must not mix with ours.
unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH PYTHONHOME
unset ROS_DISTRO _ROS_WHEELS_BOOTSTRAP_COMPLETE
export VIRTUAL_ENV="$_venv"
export PATH="$_venv/bin:$PATH"
export AMENT_PREFIX_PATH="$_venv"
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp

if [ -f "$_venv/colcon/install/local_setup.bash" ]; then
  source "$_venv/colcon/install/local_setup.bash"
else
  echo "tools/env.sh: $_venv is not set up; run make setup first" >&2
  [ "${BASH_SOURCE[0]}" != "$0" ] || exit 2
fi
unset _checkout _venv

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  exec "$@"
fi
