/* BoringSSL's memory, through the hooks it leaves open (openssl/crypto/mem: OPENSSL_memory_alloc
 * and kin). It allocates a buffer for every record it reads and every one it writes, and big
 * numbers for every signature it verifies: a thread that asks for it keeps what was freed for the
 * next time, so that a worker, once warm, calls the allocator no more. Freed memory is wiped, as
 * BoringSSL's own allocator does. Other threads, and builds with AddressSanitizer, go to the
 * allocator every time. */
#ifndef POPGATE_CRYPTO_BORINGSSL_MEMORY_H
#define POPGATE_CRYPTO_BORINGSSL_MEMORY_H

#include <stddef.h>

/* Freed blocks of up to so many bytes are kept, so many of each size. */
#define BORINGSSL_MEMORY_BLOCK_BYTES_MAX 32768
#define BORINGSSL_MEMORY_BLOCKS_KEPT     64

/* The calling thread keeps what it frees from here on, and gives all of it back at the end. */
void boringssl_memory_thread_begin(void);
void boringssl_memory_thread_end(void);

/* Bytes the calling thread keeps now. */
size_t boringssl_memory_kept(void);

/* Called by BoringSSL. */
void *OPENSSL_memory_alloc(size_t size);
void OPENSSL_memory_free(void *memory);
size_t OPENSSL_memory_get_size(void *memory);

#endif
