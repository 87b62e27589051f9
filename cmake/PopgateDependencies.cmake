# Every library the sidecar links, each a Debian package (packages.txt says which). Never OpenSSL: a test
# reads the process's maps and fails on libcrypto.so.3.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
add_library(popgate_dependencies INTERFACE)
target_link_libraries(popgate_dependencies INTERFACE popgate_boringssl Threads::Threads)

function(popgate_pkg name package)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${package})
  target_link_libraries(popgate_dependencies INTERFACE PkgConfig::${name})
endfunction()
popgate_pkg(LIBURING liburing)
popgate_pkg(SIMDJSON simdjson)
popgate_pkg(XXHASH libxxhash)
popgate_pkg(NGHTTP2 libnghttp2)
popgate_pkg(YAML yaml-0.1)
popgate_pkg(SECCOMP libseccomp)
popgate_pkg(HIREDIS hiredis)
popgate_pkg(URCU_QSBR liburcu-qsbr)
popgate_pkg(URCU_CDS liburcu-cds)
target_compile_definitions(popgate_dependencies INTERFACE URCU_INLINE_SMALL_FUNCTIONS)

# The process allocator: the sidecar alone, so that tests keep the sanitizers' allocator.
add_library(popgate_allocator INTERFACE)
if(NOT POPGATE_SANITIZE AND NOT POPGATE_FUZZ)
  pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)
  target_link_libraries(popgate_allocator INTERFACE PkgConfig::JEMALLOC)
  target_compile_definitions(popgate_allocator INTERFACE POPGATE_JEMALLOC=1)
endif()
