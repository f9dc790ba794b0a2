# pannier_embed(): puts artifacts into a library as part of a CMake build.
#
#   pannier_embed(TARGET model GRAPH graph.json PARAMS params.bin)
#       after each link of the target `model`
#   pannier_embed(LIBRARY lib.so OUTPUT model.so GRAPH graph.json PARAMS params.bin)
#       from a file made elsewhere; OUTPUT can then be a dependency like any other generated file
#
# Both also take ARTIFACTS NAME=FILE..., CODEC auto|store|zstd|planes, LEVEL N, SIGN KEY.pem (a private key), STRICT (graph, params
# and library that are not of one model are refused) and AS_FACTORY (TVM loads the bundle as an export of its own; TVM 0.7 needs
# TVM_VERSION 0.7, too). PANNIER_EXECUTABLE names the pannier to run where the package has none for this machine (a cross build).
function(pannier_embed)
  cmake_parse_arguments(PARSE_ARGV 0 arg "AS_FACTORY;STRICT" "TARGET;LIBRARY;OUTPUT;GRAPH;PARAMS;CODEC;LEVEL;SIGN;TVM_VERSION" "ARTIFACTS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "pannier_embed: found ${arg_UNPARSED_ARGUMENTS}, expected TARGET, or LIBRARY and OUTPUT, and what to embed")
  endif()

  set(options "")
  set(inputs "")
  if(arg_GRAPH)
    get_filename_component(file "${arg_GRAPH}" ABSOLUTE)
    list(APPEND options --graph "${file}")
    list(APPEND inputs "${file}")
  endif()
  if(arg_PARAMS)
    get_filename_component(file "${arg_PARAMS}" ABSOLUTE)
    list(APPEND options --params "${file}")
    list(APPEND inputs "${file}")
  endif()
  foreach(artifact IN LISTS arg_ARTIFACTS)
    if(NOT artifact MATCHES "^([^=]+)=(.+)$")
      message(FATAL_ERROR "pannier_embed: ARTIFACTS: found ${artifact}, expected NAME=FILE")
    endif()
    set(name "${CMAKE_MATCH_1}")
    get_filename_component(file "${CMAKE_MATCH_2}" ABSOLUTE)
    list(APPEND options --artifact "${name}=${file}")
    list(APPEND inputs "${file}")
  endforeach()
  if(NOT inputs)
    message(FATAL_ERROR "pannier_embed: found nothing to embed, expected GRAPH, PARAMS or ARTIFACTS")
  endif()
  if(arg_CODEC)
    list(APPEND options --codec "${arg_CODEC}")
  endif()
  if(arg_LEVEL)
    list(APPEND options --level "${arg_LEVEL}")
  endif()
  if(arg_STRICT)
    list(APPEND options --strict)
  endif()
  if(arg_AS_FACTORY)
    list(APPEND options --as-factory)
  endif()
  if(arg_TVM_VERSION)
    list(APPEND options --tvm "${arg_TVM_VERSION}")
  endif()
  if(arg_SIGN)
    get_filename_component(file "${arg_SIGN}" ABSOLUTE)
    list(APPEND options --sign "${file}")
    list(APPEND inputs "${file}")
  endif()

  if(PANNIER_EXECUTABLE)
    set(command "${PANNIER_EXECUTABLE}")
  elseif(TARGET pannier::pannier)
    set(command pannier::pannier)
  else()
    find_program(PANNIER_EXECUTABLE pannier REQUIRED)
    set(command "${PANNIER_EXECUTABLE}")
  endif()

  if(arg_TARGET AND NOT arg_LIBRARY AND NOT arg_OUTPUT)
    add_custom_command(TARGET ${arg_TARGET} POST_BUILD
      COMMAND ${command} embed --quiet "$<TARGET_FILE:${arg_TARGET}>" ${options}
      VERBATIM)
    # A changed input links the library again, and so embeds again.
    set_property(TARGET ${arg_TARGET} APPEND PROPERTY LINK_DEPENDS ${inputs})
  elseif(arg_LIBRARY AND arg_OUTPUT AND NOT arg_TARGET)
    get_filename_component(library "${arg_LIBRARY}" ABSOLUTE)
    get_filename_component(output "${arg_OUTPUT}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_BINARY_DIR}")
    add_custom_command(OUTPUT "${output}"
      COMMAND ${command} embed --quiet "${library}" ${options} -o "${output}"
      DEPENDS "${library}" ${inputs} ${command}
      VERBATIM)
  else()
    message(FATAL_ERROR "pannier_embed: expected either TARGET alone, or LIBRARY with OUTPUT")
  endif()
endfunction()
