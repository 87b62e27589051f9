# Opt-in: a current BoringSSL, fetched and built with popgate. Pinned twice: by commit, and by the SHA-256 of the listing
# of every file's object id in it (`git ls-tree -r HEAD | sha256sum`), so that a moved or forged ref is refused.
include(FetchContent)
set(POPGATE_BORINGSSL_REPOSITORY https://github.com/google/boringssl.git CACHE STRING
    "Where BoringSSL is fetched from; a mirror must hold the pinned commit")
set(POPGATE_BORINGSSL_COMMIT a0689af29e8e460f1e5380e0fb74cef1b342e810)
set(POPGATE_BORINGSSL_SHA256 5f206eb48939cd2ae6deb26d0b12b1ef5fafa313d976690547de87489553b4f0)

set(BUILD_TESTING OFF)
FetchContent_Declare(boringssl GIT_REPOSITORY ${POPGATE_BORINGSSL_REPOSITORY}
                     GIT_TAG ${POPGATE_BORINGSSL_COMMIT})
FetchContent_GetProperties(boringssl)
if(NOT boringssl_POPULATED)
  FetchContent_Populate(boringssl)
  execute_process(COMMAND sh -c "git ls-tree -r HEAD | sha256sum | cut -d' ' -f1"
                  WORKING_DIRECTORY ${boringssl_SOURCE_DIR}
                  OUTPUT_VARIABLE listing OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT listing STREQUAL POPGATE_BORINGSSL_SHA256)
    message(FATAL_ERROR "BoringSSL at ${POPGATE_BORINGSSL_REPOSITORY} is not the pinned one:\n"
                        "  listing  ${listing}\n  expected ${POPGATE_BORINGSSL_SHA256}")
  endif()
  add_subdirectory(${boringssl_SOURCE_DIR} ${boringssl_BINARY_DIR} EXCLUDE_FROM_ALL)
endif()
target_include_directories(popgate_boringssl SYSTEM INTERFACE ${boringssl_SOURCE_DIR}/include)
target_link_libraries(popgate_boringssl INTERFACE ssl crypto stdc++ pthread)
set(POPGATE_BORINGSSL_SOURCE "fetched")
message(STATUS "BoringSSL: fetched, commit ${POPGATE_BORINGSSL_COMMIT}")
