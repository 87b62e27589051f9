/* Whether a test program may bring a malloc of its own: the sanitizers bring theirs. */
#ifndef POPGATE_TESTS_SUPPORT_OWN_MALLOC_H
#define POPGATE_TESTS_SUPPORT_OWN_MALLOC_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_MALLOC 0
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MALLOC 0
#endif
#ifndef OWN_MALLOC
#define OWN_MALLOC 1
#endif

#endif
