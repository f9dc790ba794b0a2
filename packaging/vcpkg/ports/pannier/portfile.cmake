# The vcpkg port of pannier: an overlay port of the checkout that it lies in (vcpkg install pannier --overlay-ports=packaging/vcpkg/ports).
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../../.." ABSOLUTE)

vcpkg_check_features(OUT_FEATURE_OPTIONS options
  FEATURES
    embedder PANNIER_BUILD_EMBEDDER
    signatures PANNIER_SIGNATURES)

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS
    ${options}
    -DPANNIER_BUILD_TESTS=OFF
    "-DPANNIER_FLATC=${CURRENT_HOST_INSTALLED_DIR}/tools/flatbuffers/flatc${VCPKG_HOST_EXECUTABLE_SUFFIX}")
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/pannier)
vcpkg_fixup_pkgconfig()
if("embedder" IN_LIST FEATURES)
  vcpkg_copy_tools(TOOL_NAMES pannier AUTO_CLEAN)
endif()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
