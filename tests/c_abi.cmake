# The tests of loading and of the C interface, and pannier as its users install and link it; on bundles made here from mlp.
# A build without the embedder has them where PANNIER_EXECUTABLE names a pannier made elsewhere.
set(machine "${CMAKE_SYSTEM_PROCESSOR}")
if(machine MATCHES "^(x86_64|AMD64|i.86)$")
  set(machine x86_64)
  if(CMAKE_SIZEOF_VOID_P EQUAL 4)
    set(machine i686)
  endif()
elseif(machine MATCHES "^armv[78]")
  set(machine armv7)
endif()
set(mlp "${CMAKE_CURRENT_SOURCE_DIR}/data/mlp")
set(host "${mlp}/linux-${machine}/lib.so")
if(NOT EXISTS "${host}" OR NOT (TARGET pannier OR PANNIER_EXECUTABLE))
  message(STATUS "The C interface's tests are left out: no pannier to make bundles with, or no mlp for ${machine}")
  return()
endif()

set(bundles "")
foreach(codec store zstd)
  pannier_embed(LIBRARY "${host}" OUTPUT c_abi_${codec}.so CODEC ${codec}
    GRAPH "${mlp}/graph.json" PARAMS "${mlp}/params.bin" ARTIFACTS "labels=${mlp}/output.npy")
  pannier_embed(LIBRARY "${host}" OUTPUT mlp_${codec}.so CODEC ${codec} GRAPH "${mlp}/graph.json" PARAMS "${mlp}/params.bin")
  list(APPEND bundles c_abi_${codec}.so mlp_${codec}.so)
endforeach()
# Tensors of many types and sizes, the largest of some MiB: for loading_test.cc.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(params "${CMAKE_CURRENT_BINARY_DIR}/loading.params")
add_custom_command(OUTPUT "${params}"
  COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/foreign/make_params.py" "${params}"
  DEPENDS foreign/make_params.py params_file.py VERBATIM)
foreach(codec store zstd planes)
  pannier_embed(LIBRARY "${host}" OUTPUT loading_${codec}.so CODEC ${codec} PARAMS "${params}")
  list(APPEND bundles loading_${codec}.so)
endforeach()
pannier_embed(LIBRARY "${host}" OUTPUT c_abi_opaque.so PARAMS "${mlp}/input.npy")
add_custom_target(c_abi_bundles ALL DEPENDS ${bundles} c_abi_opaque.so)

pannier_test(pannier_c_abi_tests 17 pannier_internal c_abi_test.cc)
pannier_test(pannier_loading_tests 17 pannier_internal decoded_cache_test.cc loading_test.cc)
foreach(tests pannier_c_abi_tests pannier_loading_tests)
  target_compile_definitions(${tests} PRIVATE
    PANNIER_TEST_BUNDLES="${CMAKE_CURRENT_BINARY_DIR}"
    PANNIER_TEST_HOST="${host}")
  target_include_directories(${tests} PRIVATE "${PROJECT_SOURCE_DIR}")
  add_dependencies(${tests} c_abi_bundles)
endforeach()

# The adapter to the graph executor of TVM 0.7 to 0.19, which no registry carries any more: against a test double.
pannier_test(pannier_tvm_tests 17 pannier_internal tvm/graph_executor_test.cc)
target_include_directories(pannier_tvm_tests SYSTEM PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/tvm/double")
target_compile_definitions(pannier_tvm_tests PRIVATE PANNIER_STORED_BUNDLE="${CMAKE_CURRENT_BINARY_DIR}/mlp_store.so")
add_dependencies(pannier_tvm_tests c_abi_bundles)

add_executable(c_abi_c99 c_abi_c99.c)
pannier_target(c_abi_c99 17)
set_target_properties(c_abi_c99 PROPERTIES C_STANDARD 99 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
target_compile_options(c_abi_c99 PRIVATE -Werror)
target_link_libraries(c_abi_c99 PRIVATE pannier::loader Threads::Threads)
foreach(codec store zstd)
  add_test(NAME c_abi_c99_${codec}
    COMMAND c_abi_c99 "${CMAKE_CURRENT_BINARY_DIR}/mlp_${codec}.so" "${mlp}/graph.json" "${mlp}/params.bin")
endforeach()

# The folder may hold what an earlier run left.
file(MAKE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/lifecycle")
add_test(NAME lifecycle
  COMMAND check_lifecycle "${CMAKE_CURRENT_BINARY_DIR}/mlp_store.so" "${CMAKE_CURRENT_BINARY_DIR}/mlp_zstd.so" "${host}"
    "${CMAKE_CURRENT_SOURCE_DIR}/golden/v1-elf32-big.so" "${CMAKE_CURRENT_BINARY_DIR}/lifecycle")
set_tests_properties(lifecycle PROPERTIES LABELS unit)

if(PANNIER_INSTALL AND NOT CMAKE_CROSSCOMPILING)
  add_test(NAME consumers
    COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/consumers.sh" "${PROJECT_BINARY_DIR}" "${CMAKE_CURRENT_BINARY_DIR}/mlp_zstd.so")
  set_tests_properties(consumers PROPERTIES TIMEOUT 900)
endif()
