# What the loader's side needs from outside: zstd, FlatBuffers' headers and its compiler. The embedder looks for its own.
find_package(Threads REQUIRED)

# The imported target zstd::libzstd, or with PANNIER_ZSTD_SOURCE the objects of pannier_zstd, which become a part of our library.
if(PANNIER_ZSTD_SOURCE)
  if(NOT EXISTS "${PANNIER_ZSTD_SOURCE}/zstd.c" OR NOT EXISTS "${PANNIER_ZSTD_SOURCE}/zstd.h")
    message(FATAL_ERROR "PANNIER_ZSTD_SOURCE=${PANNIER_ZSTD_SOURCE}: found no zstd.c and zstd.h there, expected both")
  endif()
  add_library(pannier_zstd OBJECT "${PANNIER_ZSTD_SOURCE}/zstd.c")
  set_target_properties(pannier_zstd PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
  # Else zstd.h exports zstd's functions from our shared library, whatever the compiler's options say, and with them all of zstd.
  target_compile_definitions(pannier_zstd PRIVATE ZSTD_LEGACY_SUPPORT=0
    ZSTDLIB_VISIBLE= ZSTDLIB_VISIBILITY= ZSTDERRORLIB_VISIBLE= ZSTDERRORLIB_VISIBILITY= ZDICTLIB_VISIBLE= ZDICTLIB_VISIBILITY=)
  if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")  # the compressor is left out where nothing calls it
    target_compile_options(pannier_zstd PRIVATE -ffunction-sections -fdata-sections "$<$<CONFIG:Release>:-O2>"
      "-ffile-prefix-map=${PROJECT_BINARY_DIR}=build" "-ffile-prefix-map=${PANNIER_ZSTD_SOURCE}=zstd")
  endif()
  set(PANNIER_ZSTD_OBJECTS $<TARGET_OBJECTS:pannier_zstd>)
  set(PANNIER_ZSTD_LIBRARY "")
else()
  find_package(zstd 1.4 MODULE REQUIRED)
  set(PANNIER_ZSTD_OBJECTS "")
  set(PANNIER_ZSTD_LIBRARY zstd::libzstd)
endif()

# OpenSSL checks signatures, in a loader that is asked to and in the embedder. A cross compiler does without where it has none: then
# asking for signatures is an error, which says so.
set(PANNIER_OPENSSL OFF)
if(PANNIER_SIGNATURES OR ((PANNIER_BUILD_EMBEDDER OR PANNIER_BUILD_TESTS) AND NOT CMAKE_CROSSCOMPILING))
  find_package(OpenSSL 3 REQUIRED COMPONENTS Crypto)
  set(PANNIER_OPENSSL ON)
endif()

# flatc and FlatBuffers' headers serve every target, so both are looked for on this machine, whatever is built for.
find_program(PANNIER_FLATC flatc DOC "FlatBuffers' compiler, of the headers' version" REQUIRED NO_CMAKE_FIND_ROOT_PATH)
find_path(PANNIER_FLATBUFFERS_INCLUDE flatbuffers/flatbuffers.h DOC "The folder that has flatbuffers/flatbuffers.h" REQUIRED
  NO_CMAKE_FIND_ROOT_PATH)

# pannier_link_headers(INCLUDE NAME): a folder that has INCLUDE/NAME and nothing else, as PANNIER_NAME_LINK. INCLUDE is often
# /usr/include, which a cross compiler must not see.
function(pannier_link_headers include name)
  set(folder "${PROJECT_BINARY_DIR}/headers/${name}")
  file(MAKE_DIRECTORY "${folder}")
  file(CREATE_LINK "${include}/${name}" "${folder}/${name}" SYMBOLIC COPY_ON_ERROR)
  string(TOUPPER "${name}" upper)
  set(PANNIER_${upper}_LINK "${folder}" PARENT_SCOPE)
endfunction()
pannier_link_headers("${PANNIER_FLATBUFFERS_INCLUDE}" flatbuffers)

# pannier_host_headers(TARGET HEADER): a library that is headers alone, this machine's folder that HEADER is in, as an imported target.
function(pannier_host_headers target header)
  get_filename_component(name "${header}" DIRECTORY)
  string(TOUPPER "${name}" upper)
  find_path(PANNIER_${upper}_INCLUDE "${header}" DOC "The folder that has ${header}" REQUIRED NO_CMAKE_FIND_ROOT_PATH)
  pannier_link_headers("${PANNIER_${upper}_INCLUDE}" "${name}")
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE "${PANNIER_${upper}_LINK}")
endfunction()

# pannier_flatbuffers(TARGET SCHEMA): makes SCHEMA_generated.h in the build tree, a system header to whoever uses TARGET.
function(pannier_flatbuffers target schema)
  get_filename_component(name "${schema}" NAME_WE)
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/generated")
  set(header "${folder}/${name}_generated.h")
  add_custom_command(
    OUTPUT "${header}"
    COMMAND "${PANNIER_FLATC}" --cpp --scoped-enums -o "${folder}" "${CMAKE_CURRENT_SOURCE_DIR}/${schema}"
    DEPENDS "${schema}"
    VERBATIM)
  add_custom_target(${target}_${name} DEPENDS "${header}")
  add_dependencies(${target} ${target}_${name})
  target_sources(${target} PRIVATE "${header}")
  target_include_directories(${target} SYSTEM PUBLIC "${folder}" "${PANNIER_FLATBUFFERS_LINK}")
endfunction()
