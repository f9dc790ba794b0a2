# LIEF's C++ sources compiled 16 at a time, which takes a third of the time; LIEF's project() includes this
# (CMAKE_PROJECT_LIEF_INCLUDE, see build_lief.sh).
function(pannier_unite_lief)
  get_target_property(sources LIB_LIEF SOURCES)
  foreach(source IN LISTS sources)
    # Names that others of LIEF's sources have, too; and mbed TLS, which is in C.
    if(source MATCHES "\\.c$|/(Convert|DyldInfo)\\.cpp$")
      set_source_files_properties("${source}" PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    endif()
  endforeach()
  set_target_properties(LIB_LIEF PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
endfunction()
cmake_language(DEFER CALL pannier_unite_lief)  # when the target is there
