# pannier_page(TARGET SYMBOL HTML file STYLE file SCRIPTS files...): a page's sources as `const pannier::PageSources SYMBOL`.
#
# In bytes, not as a string literal: those have a longest length.

# pannier_page_part(NAME FILES...): appends an array of the files' bytes, one after another, to the caller's `code`.
function(pannier_page_part name)
  set(bytes "")
  foreach(path IN LISTS ARGN)
    file(READ "${path}" hex HEX)
    string(APPEND bytes "${hex}")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${path}")
  endforeach()
  string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  set(code "${code}constexpr char ${name}[] = {${bytes}};\n" PARENT_SCOPE)
endfunction()

function(pannier_page target symbol)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "HTML;STYLE" "SCRIPTS")
  list(TRANSFORM arg_SCRIPTS PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  set(code "")
  pannier_page_part(kHtml "${CMAKE_CURRENT_SOURCE_DIR}/${arg_HTML}")
  pannier_page_part(kStyle "${CMAKE_CURRENT_SOURCE_DIR}/${arg_STYLE}")
  pannier_page_part(kScript ${arg_SCRIPTS})
  set(file "${CMAKE_CURRENT_BINARY_DIR}/${symbol}.cc")
  file(GENERATE OUTPUT "${file}" CONTENT "// Made by cmake/PannierPage.cmake.
#include \"embedder/view/page.h\"

namespace pannier {
namespace {

${code}
}  // namespace

const PageSources ${symbol} = {{kHtml, sizeof kHtml}, {kStyle, sizeof kStyle}, {kScript, sizeof kScript}};

}  // namespace pannier
")
  target_sources(${target} PRIVATE "${file}")
endfunction()
