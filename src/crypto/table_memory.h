/* Memory for large read-only tables: whole huge pages where the kernel gives them (MADV_HUGEPAGE),
 * since a verification touches dozens of lines all over a table and pays for a page walk at each
 * otherwise. */
#ifndef POPGATE_CRYPTO_TABLE_MEMORY_H
#define POPGATE_CRYPTO_TABLE_MEMORY_H

#include <stddef.h>

/* Zeroed, aligned to a page at least. Returns owned, or NULL. */
void *table_memory_new(size_t bytes);
/* `bytes` as given to table_memory_new. NULL is allowed. */
void table_memory_free(void *memory, size_t bytes);

/* A region of such memory, cut into pieces and put together again: first fit, so that what is in
 * use lies close together at its beginning. It never grows: pages that were not used yet are not
 * there. One thread at a time. */
struct table_pool;

/* At most `pieces_max` pieces at the same time. Returns owned, or NULL. */
struct table_pool *table_pool_new(size_t bytes, size_t pieces_max);
/* NULL is allowed; with whatever pieces are left. */
void table_pool_free(struct table_pool *pool);

/* bytes: a multiple of 64, which pieces are aligned to; what they hold is what was there. NULL when
 * there is no gap of that size. */
void *table_pool_take(struct table_pool *pool, size_t bytes);
/* `bytes` as taken. */
void table_pool_give(struct table_pool *pool, void *piece, size_t bytes);

#endif
