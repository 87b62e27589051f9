# Compiler flags and the switches a person may turn.
option(POPGATE_TESTS "Build the unit, thread and fuzz tests" ON)
option(POPGATE_BENCH "Build the programs of bench/" ON)
option(POPGATE_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(POPGATE_COVERAGE "Instrument for gcov" OFF)
option(POPGATE_WERROR "Treat warnings as errors" ON)
# What is run in earnest is optimised as one piece; what is built to be tested builds faster without.
option(POPGATE_LTO "Optimise across files when linking (optimised builds without tests or instrumentation)" ON)
set(POPGATE_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g -DNDEBUG")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g")

add_library(popgate_options INTERFACE)
target_compile_definitions(popgate_options INTERFACE _GNU_SOURCE
                           POPGATE_VERSION="${PROJECT_VERSION}")
target_compile_options(popgate_options INTERFACE
  -Wall -Wextra -Wshadow -Wundef -Wvla -Wwrite-strings -Wpointer-arith -Wformat=2
  -Wno-missing-field-initializers -fno-strict-aliasing -fstack-protector-strong
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>)
# Every x86-64 CPU since 2006 exchanges 16 bytes at once. The replay table needs it, and clang inlines such an exchange
# only where the whole file may use it: a function's attribute leaves a library call that nobody provides.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(popgate_options INTERFACE -mcx16)
endif()
target_link_options(popgate_options INTERFACE -Wl,-z,relro,-z,now)
if(POPGATE_WERROR)
  target_compile_options(popgate_options INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE MATCHES "Rel" AND NOT POPGATE_SANITIZE)
  target_compile_options(popgate_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

if(POPGATE_SANITIZE)
  target_compile_options(popgate_options INTERFACE -fsanitize=${POPGATE_SANITIZE}
                         -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(popgate_options INTERFACE -fsanitize=${POPGATE_SANITIZE})
  if(POPGATE_SANITIZE MATCHES "thread")
    set(POPGATE_SANITIZE_THREAD ON)
    # A fence is invisible to TSan; base/rcu.h annotates the places that rely on one.
    target_compile_definitions(popgate_options INTERFACE POPGATE_TSAN=1)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
      target_compile_options(popgate_options INTERFACE -Wno-tsan)
    endif()
  endif()
endif()
if(POPGATE_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "POPGATE_FUZZ needs clang: configure with -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++, or `make fuzz`")
  endif()
  target_compile_options(popgate_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(POPGATE_COVERAGE)
  target_compile_options(popgate_options INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(popgate_options INTERFACE --coverage)
endif()

set(POPGATE_LTO_TAKEN OFF)
if(POPGATE_LTO AND CMAKE_BUILD_TYPE MATCHES "Rel" AND NOT POPGATE_TESTS AND NOT POPGATE_SANITIZE AND NOT POPGATE_FUZZ
   AND NOT POPGATE_COVERAGE)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT POPGATE_LTO_TAKEN LANGUAGES C CXX OUTPUT popgate_lto_reason)
endif()

# Files whose names end in an instruction set are compiled for it; the dispatcher in src/base/cpu_features.c
# decides at start whether any of their functions may be called.
function(popgate_set_instruction_sets)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    return()
  endif()
  foreach(source ${ARGN})
    if(source MATCHES "_ifma\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
        "-mavx512f;-mavx512dq;-mavx512vl;-mavx512bw;-mavx512ifma;-mbmi2;-madx;-O3")
      # gcc schedules before it allocates registers only where told to: additions of points then run with the products
      # of two side by side (a tenth faster; clang does so by itself).
      if(source MATCHES "p256_verify_ifma\\.c$" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
        set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS "-fschedule-insns;-fsched-pressure")
      endif()
    elseif(source MATCHES "_avx2\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx2;-mbmi2")
    elseif(source MATCHES "_bmi2\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mbmi2;-madx;-O3")
    elseif(source MATCHES "_shani\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-msha;-msse4.1;-mssse3")
    endif()
  endforeach()
endfunction()
