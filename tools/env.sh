#!/usr/bin/env bash
# The environment of the checkout: its virtual environment, ROS 2 and the built interfaces.
#   tools/env.sh COMMAND...     runs a command in it
#   source tools/env.sh         makes it the environment of this shell (bash)
# VENV names another virtual environment, for example VENV=.venv-kilted.

_checkout="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
_venv="${VENV:-.venv}"
[[ "$_venv" = /* ]] || _venv="$_checkout/$_venv"

# What belongs to another ROS 2 or Python, or to a robot's network, must not mix with ours. The
# domain and how far discovery reaches are the caller's to say.
for _name in ${!AMENT_@} ${!COLCON_@} ${!ROS_@} ${!_ROS_@} \
    ${!RMW_@} ${!FASTDDS_@} ${!FASTRTPS_@} ${!CYCLONEDDS_@} ${!SKIP_DEFAULT_XML@} \
    CMAKE_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH PYTHONHOME; do
  case "$_name" in
    ROS_DOMAIN_ID | ROS_AUTOMATIC_DISCOVERY_RANGE) ;;
    *) unset "$_name" ;;
  esac
done
export VIRTUAL_ENV="$_venv"
export PATH="$_venv/bin:$PATH"
export PYTHONPATH="$_checkout"  # where tiny is
export AMENT_PREFIX_PATH="$_venv"
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
export ROS_LOG_DIR="$_venv/ros-log"

if [ -f "$_venv/colcon/install/local_setup.bash" ]; then
  source "$_venv/colcon/install/local_setup.bash"
else
  echo "tools/env.sh: $_venv is not set up; run make setup first" >&2
  [ "${BASH_SOURCE[0]}" != "$0" ] || exit 2
fi
unset _checkout _venv _name

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  exec "$@"
fi
