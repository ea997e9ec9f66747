# Install the Python module `ros2_llava_phi` and its commands, and nothing that it once held.
#
# Its folder `training` is a link to the top-level one. CMake installs links as links, so what is
# installed is a copy in which it is a folder; a symlink install follows the link by itself.

set(module_dir "${CMAKE_CURRENT_SOURCE_DIR}/ros2_llava_phi")
if(NOT AMENT_CMAKE_SYMLINK_INSTALL)
  set(module_copy "${CMAKE_CURRENT_BINARY_DIR}/module/ros2_llava_phi")
  # ament wants the copy when it configures; `copy_module` renews it with every build.
  file(REMOVE_RECURSE "${module_copy}")
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E copy_directory "${module_dir}" "${module_copy}"
    RESULT_VARIABLE copy_failed
  )
  if(copy_failed)
    message(FATAL_ERROR "${module_dir} cannot be copied to ${module_copy}: ${copy_failed}")
  endif()
  set(ament_copy "${CMAKE_CURRENT_BINARY_DIR}/ament_cmake_python/ros2_llava_phi/ros2_llava_phi")
  add_custom_target(copy_module ALL
    COMMAND ${CMAKE_COMMAND} -E remove_directory "${module_copy}"
    COMMAND ${CMAKE_COMMAND} -E remove_directory "${ament_copy}"
    COMMAND ${CMAKE_COMMAND} -E copy_directory "${module_dir}" "${module_copy}"
  )
  # Rules of installation run in the order they are written in.
  install(CODE
    "file(REMOVE_RECURSE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${PYTHON_INSTALL_DIR}/ros2_llava_phi\")"
  )
  set(module_dir "${module_copy}")
endif()

# `ros2 run llava_phi replay`: beside the package's own commands, where the name is not too general
# as it would be among all that pip has installed.
set(setup_cfg "${CMAKE_CURRENT_BINARY_DIR}/setup.cfg")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/setup.cfg")
file(READ "${CMAKE_CURRENT_SOURCE_DIR}/setup.cfg" content)
string(REPLACE "console_scripts =\n"
  "console_scripts =\n    replay = ros2_llava_phi.entry_points:replay\n" content "${content}"
)
file(WRITE "${setup_cfg}" "${content}")

ament_python_install_package(ros2_llava_phi
  PACKAGE_DIR "${module_dir}"
  SETUP_CFG "${setup_cfg}"
  SCRIPTS_DESTINATION lib/${PROJECT_NAME}
)

# ament's own copy is made of ours.
if(TARGET copy_module AND TARGET ament_cmake_python_copy_ros2_llava_phi)
  add_dependencies(ament_cmake_python_copy_ros2_llava_phi copy_module)
endif()
