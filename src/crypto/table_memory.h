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

#endif
