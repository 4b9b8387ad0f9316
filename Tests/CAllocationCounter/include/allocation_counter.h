/* Counts the calls of malloc and its relatives, on all threads of a program that links this. */
#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H
#include <stdint.h>

/* Whether this build can count: glibc, and no sanitizer that has an allocator of its own. */
int32_t allocation_counter_is_available(void);

/* Allocations since the process began. */
int64_t allocation_counter_total(void);

#endif
