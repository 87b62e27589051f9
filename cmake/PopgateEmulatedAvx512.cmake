# No loop is unrolled, as they are for AVX-512's sake: gcc would be busy for many minutes.
set(popgate_emulated_options -O1 $<$<C_COMPILER_ID:GNU>:-fno-tree-loop-optimize>)

# popgate_add_emulated_avx512(NAME): an object library of the AVX-512 engine, for a CPU that has none of it: the sources compiled
# against tests/avx512/immintrin.h and without a flag for any instruction set. Who links it, beside popgate_core, links these
# objects in the place of popgate_core's, and its CPU has what the engine asks for.
function(popgate_add_emulated_avx512 name)
  file(GLOB engine CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/crypto/*_ifma.c)
  add_library(${name} OBJECT EXCLUDE_FROM_ALL ${engine} ${PROJECT_SOURCE_DIR}/src/crypto/p256_verify_bmi2.c
              ${PROJECT_SOURCE_DIR}/tests/avx512/emulated.c)
  target_link_libraries(${name} PUBLIC popgate_options popgate_dependencies)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_include_directories(${name} BEFORE PUBLIC ${PROJECT_SOURCE_DIR}/tests/avx512)
  # 64-byte vectors go through memory, as only these objects pass them to each other.
  target_compile_options(${name} PUBLIC $<$<COMPILE_LANGUAGE:C>:-Wno-psabi> PRIVATE ${popgate_emulated_options})
  target_link_options(${name} PUBLIC -Wl,--wrap=cpu_features_read)
endfunction()
