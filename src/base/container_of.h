/* From a member to the struct that holds it. */
#ifndef POPGATE_BASE_CONTAINER_OF_H
#define POPGATE_BASE_CONTAINER_OF_H

#include <stddef.h>

#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
