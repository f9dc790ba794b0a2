# What every target of the project is compiled with: the language, warnings, hardening, sanitizers.
include(CheckCXXCompilerFlag)
include(CheckPIESupported)
check_pie_supported()

set(PANNIER_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion)
set(PANNIER_CXX_WARNINGS -Wold-style-cast -Wnon-virtual-dtor)

# What the compiler and the target know of it.
set(PANNIER_HARDENING -fstack-protector-strong -U_FORTIFY_SOURCE)
foreach(flag -D_FORTIFY_SOURCE=3 -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard)
  string(MAKE_C_IDENTIFIER "PANNIER_HAS${flag}" has)
  set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE")
  check_cxx_compiler_flag(${flag} ${has})
  unset(CMAKE_REQUIRED_FLAGS)
  if(${has})
    list(APPEND PANNIER_HARDENING ${flag})
  endif()
endforeach()

set(PANNIER_SHIPPED_OPTIONS -ffunction-sections -fdata-sections
  "-ffile-prefix-map=${PROJECT_BINARY_DIR}=build" "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.")
if(PANNIER_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(LANGUAGES CXX)
endif()

# pannier_target(NAME STANDARD): flags are set on the target itself rather than through an interface library, which the exported
# package would have to carry along.
function(pannier_target name standard)
  set_target_properties(${name} PROPERTIES
    CXX_STANDARD ${standard}
    CXX_STANDARD_REQUIRED ON
    CXX_EXTENSIONS OFF
    POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden
    C_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  target_compile_definitions(${name} PRIVATE PANNIER_VERSION="${PROJECT_VERSION}" _GLIBCXX_ASSERTIONS)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    return()
  endif()
  target_compile_options(${name} PRIVATE ${PANNIER_WARNINGS} "$<$<COMPILE_LANGUAGE:CXX>:${PANNIER_CXX_WARNINGS}>")
  if(PANNIER_WERROR)
    target_compile_options(${name} PRIVATE -Werror)
  endif()

  # GCC 12 sees overlapping copies in std::string that are not there (its bug 105651).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${name} PRIVATE -Wno-restrict)
  endif()

  # OpenSSF's compiler options hardening guide. GCC warns where _FORTIFY_SOURCE meets -O0, hence only in optimised builds; some
  # distributions predefine it.
  target_compile_options(${name} PRIVATE "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:${PANNIER_HARDENING}>")
  get_target_property(type ${name} TYPE)
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND type MATCHES "EXECUTABLE|SHARED_LIBRARY")
    target_link_options(${name} PRIVATE
      "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:LINKER:-z,relro,-z,now,-z,noexecstack,-z,separate-code,--gc-sections>")
  endif()
  # What is not called is left out; and the same bytes come out wherever source and build lie.
  target_compile_options(${name} PRIVATE "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:${PANNIER_SHIPPED_OPTIONS}>")
  if(PANNIER_LTO)
    set_target_properties(${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION ON)
  endif()

  if(PANNIER_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${PANNIER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${name} PUBLIC "$<BUILD_INTERFACE:-fsanitize=${PANNIER_SANITIZE}>")
  endif()
endfunction()

# pannier_small(NAME [PER_BYTE SOURCES...] [PER_TENSOR SOURCES...]): a target's sources are compiled to be small, but for those that pass
# over every byte, and those that look at every tensor when a bundle is opened (twice as slow with -Os).
function(pannier_small name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "PER_BYTE;PER_TENSOR")
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    return()
  endif()
  target_compile_options(${name} PRIVATE "$<$<CONFIG:Release,RelWithDebInfo>:-Os>")
  foreach(source IN LISTS arg_PER_BYTE)
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release>:-O3>;$<$<CONFIG:RelWithDebInfo>:-O2>")
  endforeach()
  foreach(source IN LISTS arg_PER_TENSOR)
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release,RelWithDebInfo>:-O2>")
  endforeach()
endfunction()
