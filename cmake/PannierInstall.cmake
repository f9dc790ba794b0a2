# Install rules: headers, the loader, the executable, and what CMake and pkg-config need to find them. Components: loader (what programs
# need to run), dev (what they are built with), embedder (the command); docs/packaging.md lists what is in each.
include(CMakePackageConfigHelpers)
include(PannierSbom)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/pannier")

install(TARGETS pannier_loader EXPORT pannier-targets
  RUNTIME COMPONENT loader
  LIBRARY COMPONENT loader NAMELINK_COMPONENT dev
  ARCHIVE COMPONENT dev)
if(TARGET pannier)
  # In an export set of its own: a package that names files which are not installed is an error to find_package.
  install(TARGETS pannier EXPORT pannier-executable-targets RUNTIME COMPONENT embedder)
  install(EXPORT pannier-executable-targets NAMESPACE pannier:: DESTINATION "${package_dir}" COMPONENT embedder)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/docs/man/" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT embedder
    FILES_MATCHING PATTERN "*.1")
  # Shells find them by these names in these folders.
  if(PANNIER_COMPLETION_DIR)
    set(share "${CMAKE_INSTALL_DATAROOTDIR}")
    install(FILES "${PANNIER_COMPLETION_DIR}/bash" DESTINATION "${share}/bash-completion/completions" RENAME pannier COMPONENT embedder)
    install(FILES "${PANNIER_COMPLETION_DIR}/zsh" DESTINATION "${share}/zsh/site-functions" RENAME _pannier COMPONENT embedder)
    install(FILES "${PANNIER_COMPLETION_DIR}/fish" DESTINATION "${share}/fish/vendor_completions.d" RENAME pannier.fish COMPONENT embedder)
  endif()
endif()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/pannier" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT dev
  FILES_MATCHING PATTERN "*.h")
install(EXPORT pannier-targets NAMESPACE pannier:: DESTINATION "${package_dir}" COMPONENT dev)

get_target_property(loader_type pannier_loader TYPE)
set(PANNIER_NEEDS_LIBRARIES OFF)
if(loader_type STREQUAL "STATIC_LIBRARY")
  set(PANNIER_NEEDS_LIBRARIES ON)
endif()
set(PANNIER_NEEDS_ZSTD OFF)
if(PANNIER_NEEDS_LIBRARIES AND PANNIER_ZSTD_LIBRARY)
  set(PANNIER_NEEDS_ZSTD ON)
endif()
set(PANNIER_NEEDS_OPENSSL OFF)
if(PANNIER_NEEDS_LIBRARIES AND PANNIER_SIGNATURES)
  set(PANNIER_NEEDS_OPENSSL ON)
endif()
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/pannier-config.cmake.in" "${PROJECT_BINARY_DIR}/pannier-config.cmake"
  INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/pannier-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/pannier-config.cmake"
  "${PROJECT_BINARY_DIR}/pannier-config-version.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/PannierEmbed.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/Findzstd.cmake"
  DESTINATION "${package_dir}" COMPONENT dev)

# pannier.pc: a static library's own dependencies stand in Requires and Libs, so that it links with and without --static; what only
# a linker called through a C compiler needs is private.
set(pc_requires "")
set(pc_libs "")
set(pc_libs_private "")
if(PANNIER_NEEDS_LIBRARIES)
  list(TRANSFORM CMAKE_DL_LIBS PREPEND "-l" OUTPUT_VARIABLE pc_libs)
  list(APPEND pc_libs -pthread)
  list(JOIN pc_libs " " pc_libs)
  set(pc_libs_private "-lstdc++")
  if(PANNIER_NEEDS_ZSTD)
    list(APPEND pc_requires libzstd)
  endif()
  if(PANNIER_NEEDS_OPENSSL)
    list(APPEND pc_requires libcrypto)
  endif()
  list(JOIN pc_requires " " pc_requires)
endif()
file(RELATIVE_PATH pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file("${CMAKE_CURRENT_LIST_DIR}/pannier.pc.in" "${PROJECT_BINARY_DIR}/pannier.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/pannier.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT dev)

# What each part is made of. Licence and parts lie in a folder of the package's own, as Debian wants it.
set(PANNIER_LOADER_PACKAGE "libpannier${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}" CACHE INTERNAL "")
foreach(component IN ITEMS loader dev embedder)
  if(component STREQUAL "embedder" AND NOT TARGET pannier)
    continue()
  endif()
  set(package_of_loader ${PANNIER_LOADER_PACKAGE})
  set(package_of_dev libpannier-dev)
  set(package_of_embedder pannier)
  set(documents "${CMAKE_INSTALL_DATAROOTDIR}/doc/${package_of_${component}}")
  install(FILES "${CMAKE_CURRENT_LIST_DIR}/copyright.txt" DESTINATION "${documents}" RENAME copyright COMPONENT ${component})
  if(NOT component STREQUAL "dev")
    pannier_sbom(${component} "${PROJECT_BINARY_DIR}/pannier-${component}.spdx.json")
    install(FILES "${PROJECT_BINARY_DIR}/pannier-${component}.spdx.json" DESTINATION "${documents}" COMPONENT ${component})
  endif()
endforeach()

# What a wheel holds beside the Python files; with PANNIER_EXECUTABLE, a command that was built before.
if(SKBUILD)
  install(TARGETS pannier_loader LIBRARY DESTINATION pannier COMPONENT python RUNTIME DESTINATION pannier COMPONENT python)
  if(TARGET pannier)
    install(TARGETS pannier RUNTIME DESTINATION pannier COMPONENT python)
  elseif(PANNIER_EXECUTABLE)
    install(PROGRAMS "${PANNIER_EXECUTABLE}" DESTINATION pannier COMPONENT python)
  else()
    message(FATAL_ERROR "a wheel: found neither PANNIER_BUILD_EMBEDDER nor PANNIER_EXECUTABLE, expected one, for the command")
  endif()
endif()

if(PROJECT_IS_TOP_LEVEL AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  include(PannierPackages)
endif()
