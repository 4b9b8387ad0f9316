/* Counts the calls of malloc and its relatives on the threads that asked to be watched. */
#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H
#include <stdint.h>

/* Whether this build can count: glibc, and no sanitizer that has an allocator of its own. */
int32_t allocation_counter_is_available(void);

/* The calling thread's allocations count from now on (1) or no longer (0). */
void allocation_counter_watch_thread(int32_t watch);

/* Allocations of all watched threads since the process began. */
int64_t allocation_counter_total(void);

#endif
