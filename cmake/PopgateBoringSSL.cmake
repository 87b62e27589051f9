# BoringSSL, from one of three places, and which is said out loud at configure time:
#   -DBORINGSSL_ROOT=DIR               a tree with include/ and built libcrypto and libssl
#   -DPOPGATE_FETCH_BORINGSSL=ON       FetchContent, pinned by commit and hash
#   otherwise                          Debian's android-libboringssl-dev
set(BORINGSSL_ROOT "" CACHE PATH "A BoringSSL tree: include/ and libcrypto, libssl (also in build/, lib/)")
option(POPGATE_FETCH_BORINGSSL "Download and build a pinned BoringSSL" OFF)

add_library(popgate_boringssl INTERFACE)
if(BORINGSSL_ROOT)
  foreach(name crypto ssl)
    find_library(popgate_boringssl_${name} NAMES lib${name}.a ${name} NO_DEFAULT_PATH
      PATHS ${BORINGSSL_ROOT} ${BORINGSSL_ROOT}/build ${BORINGSSL_ROOT}/lib
            ${BORINGSSL_ROOT}/build/${name} ${BORINGSSL_ROOT}/${name})
    if(NOT popgate_boringssl_${name})
      message(FATAL_ERROR "BORINGSSL_ROOT=${BORINGSSL_ROOT} has no lib${name}: build it there first "
                          "(cmake -GNinja -B build -DCMAKE_POSITION_INDEPENDENT_CODE=ON && ninja -C build)")
    endif()
  endforeach()
  target_include_directories(popgate_boringssl SYSTEM INTERFACE ${BORINGSSL_ROOT}/include)
  target_link_libraries(popgate_boringssl INTERFACE ${popgate_boringssl_ssl} ${popgate_boringssl_crypto}
                        stdc++ pthread)
  set(POPGATE_BORINGSSL_SOURCE "tree")
  message(STATUS "BoringSSL: the tree at ${BORINGSSL_ROOT}")
elseif(POPGATE_FETCH_BORINGSSL)
  include(PopgateFetchBoringSSL)
  set(POPGATE_BORINGSSL_SOURCE "fetched")
else()
  find_path(popgate_boringssl_include openssl/base.h PATHS /usr/include/android NO_DEFAULT_PATH)
  find_library(popgate_boringssl_ssl NAMES ssl NO_DEFAULT_PATH
               PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/android /usr/lib/android)
  find_library(popgate_boringssl_crypto NAMES crypto NO_DEFAULT_PATH
               PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/android /usr/lib/android)
  if(NOT popgate_boringssl_include OR NOT popgate_boringssl_ssl OR NOT popgate_boringssl_crypto)
    message(FATAL_ERROR "BoringSSL not found: apt-get install android-libboringssl-dev, "
                        "or -DBORINGSSL_ROOT=DIR, or -DPOPGATE_FETCH_BORINGSSL=ON")
  endif()
  get_filename_component(popgate_boringssl_dir ${popgate_boringssl_ssl} DIRECTORY)
  target_include_directories(popgate_boringssl SYSTEM INTERFACE ${popgate_boringssl_include})
  target_link_libraries(popgate_boringssl INTERFACE ${popgate_boringssl_ssl} ${popgate_boringssl_crypto})
  target_link_options(popgate_boringssl INTERFACE -Wl,-rpath,${popgate_boringssl_dir})
  set(CMAKE_INSTALL_RPATH ${popgate_boringssl_dir})
  set(POPGATE_BORINGSSL_SOURCE "debian")
  message(STATUS "BoringSSL: Debian's android-libboringssl (a size-optimised build of mid-2022, without P-256 "
                 "assembly: good for a first run; build production images against a current tree)")
endif()
