# pannier_sbom(PART FILE): which libraries of others the loader or the embedder is made of, in SPDX 2.3, from what CMake found.
#
# Created is SOURCE_DATE_EPOCH where that is set, as reproducible builds do.

# pannier_sbom_add(NAME VERSION LICENSE RELATION PURL): appends one library to the caller's `packages` and `relations`.
function(pannier_sbom_add name version license relation purl)
  if(NOT version)
    set(version_line "")
  else()
    set(version_line "\"versionInfo\": \"${version}\",")
    string(APPEND purl "@${version}")
  endif()
  string(MAKE_C_IDENTIFIER "${name}" id)
  string(REPLACE "_" "-" id "${id}")
  string(APPEND packages ",
    {
      \"name\": \"${name}\",
      \"SPDXID\": \"SPDXRef-${id}\",
      ${version_line}
      \"downloadLocation\": \"NOASSERTION\",
      \"filesAnalyzed\": false,
      \"licenseConcluded\": \"${license}\",
      \"licenseDeclared\": \"${license}\",
      \"copyrightText\": \"NOASSERTION\",
      \"externalRefs\": [
        {\"referenceCategory\": \"PACKAGE-MANAGER\", \"referenceType\": \"purl\", \"referenceLocator\": \"${purl}\"}
      ]
    }")
  string(APPEND relations ",
    {\"spdxElementId\": \"SPDXRef-pannier\", \"relationshipType\": \"${relation}\", \"relatedSpdxElement\": \"SPDXRef-${id}\"}")
  set(packages "${packages}" PARENT_SCOPE)
  set(relations "${relations}" PARENT_SCOPE)
endfunction()

# pannier_sbom_version(VARIABLE FILE PATTERN...): the numbers behind #define PATTERN, joined by dots; "" where there are none.
function(pannier_sbom_version variable file)
  set(numbers "")
  foreach(pattern IN LISTS ARGN)
    if(EXISTS "${file}")
      file(STRINGS "${file}" line REGEX "^ *# *define +${pattern} +[0-9]+" LIMIT_COUNT 1)
      if(line MATCHES "([0-9]+)[^0-9]*$")
        list(APPEND numbers "${CMAKE_MATCH_1}")
      endif()
    endif()
  endforeach()
  list(JOIN numbers "." numbers)
  set(${variable} "${numbers}" PARENT_SCOPE)
endfunction()

function(pannier_sbom part file)
  set(packages "")
  set(relations "")
  set(zstd_include "${ZSTD_INCLUDE_DIR}")
  set(zstd_relation DYNAMIC_LINK)
  if(PANNIER_ZSTD_SOURCE)
    set(zstd_include "${PANNIER_ZSTD_SOURCE}")
  endif()
  if(PANNIER_ZSTD_SOURCE OR ZSTD_LIBRARY MATCHES "\\.(a|lib)$")
    set(zstd_relation STATIC_LINK)
  endif()
  pannier_sbom_version(zstd_found "${zstd_include}/zstd.h" ZSTD_VERSION_MAJOR ZSTD_VERSION_MINOR ZSTD_VERSION_RELEASE)
  pannier_sbom_add(zstd "${zstd_found}" BSD-3-Clause ${zstd_relation} "pkg:github/facebook/zstd")
  pannier_sbom_version(flatbuffers_found "${PANNIER_FLATBUFFERS_INCLUDE}/flatbuffers/base.h"
    FLATBUFFERS_VERSION_MAJOR FLATBUFFERS_VERSION_MINOR FLATBUFFERS_VERSION_REVISION)
  pannier_sbom_add(flatbuffers "${flatbuffers_found}" Apache-2.0 STATIC_LINK "pkg:github/google/flatbuffers")
  if(PANNIER_OPENSSL AND (PANNIER_SIGNATURES OR part STREQUAL "embedder"))
    set(openssl_relation DYNAMIC_LINK)
    if(OPENSSL_CRYPTO_LIBRARY MATCHES "\\.a$")
      set(openssl_relation STATIC_LINK)
    endif()
    pannier_sbom_add(openssl "${OPENSSL_VERSION}" Apache-2.0 ${openssl_relation} "pkg:github/openssl/openssl")
  endif()
  if(part STREQUAL "embedder")
    foreach(name fmt_VERSION CLI11_VERSION nlohmann_json_VERSION LIEF_VERSION fmt_DIR)
      get_directory_property(${name} DIRECTORY "${PROJECT_SOURCE_DIR}/embedder" DEFINITION ${name})
    endforeach()
    set(fmt_relation STATIC_LINK)
    if(TARGET fmt::fmt)
      get_target_property(fmt_type fmt::fmt TYPE)
      if(fmt_type STREQUAL "SHARED_LIBRARY")
        set(fmt_relation DYNAMIC_LINK)
      endif()
    endif()
    pannier_sbom_add(LIEF "${LIEF_VERSION}" Apache-2.0 STATIC_LINK "pkg:github/lief-project/LIEF")
    pannier_sbom_add(fmt "${fmt_VERSION}" MIT ${fmt_relation} "pkg:github/fmtlib/fmt")
    pannier_sbom_add(CLI11 "${CLI11_VERSION}" BSD-3-Clause STATIC_LINK "pkg:github/CLIUtils/CLI11")
    pannier_sbom_add(nlohmann-json "${nlohmann_json_VERSION}" MIT STATIC_LINK "pkg:github/nlohmann/json")
  endif()

  string(TIMESTAMP created "%Y-%m-%dT%H:%M:%SZ" UTC)
  # Named by its content, so that two documents that differ have different names.
  string(SHA256 digest "${part} ${PROJECT_VERSION} ${packages} ${relations}")
  file(WRITE "${file}.new" "{
  \"spdxVersion\": \"SPDX-2.3\",
  \"dataLicense\": \"CC0-1.0\",
  \"SPDXID\": \"SPDXRef-DOCUMENT\",
  \"name\": \"pannier-${part}-${PROJECT_VERSION}\",
  \"documentNamespace\": \"urn:pannier:sbom:${part}:${PROJECT_VERSION}:${digest}\",
  \"creationInfo\": {\"created\": \"${created}\", \"creators\": [\"Tool: pannier-build-${PROJECT_VERSION}\"]},
  \"packages\": [
    {
      \"name\": \"pannier-${part}\",
      \"SPDXID\": \"SPDXRef-pannier\",
      \"versionInfo\": \"${PROJECT_VERSION}\",
      \"downloadLocation\": \"NOASSERTION\",
      \"filesAnalyzed\": false,
      \"licenseConcluded\": \"Apache-2.0\",
      \"licenseDeclared\": \"Apache-2.0\",
      \"copyrightText\": \"NOASSERTION\"
    }${packages}
  ],
  \"relationships\": [
    {\"spdxElementId\": \"SPDXRef-DOCUMENT\", \"relationshipType\": \"DESCRIBES\", \"relatedSpdxElement\": \"SPDXRef-pannier\"}${relations}
  ]
}
")
  configure_file("${file}.new" "${file}" COPYONLY)
  file(REMOVE "${file}.new")
endfunction()
