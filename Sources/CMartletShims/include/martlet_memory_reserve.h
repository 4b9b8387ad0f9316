/* Memory that is already there when malloc has none.
 *
 * Swift cannot report that an allocation failed: the process ends. The library's own data therefore comes from an allocator
 * whose failure is an error (Storage), and what Swift allocates for itself (lists of layers, names, closures) falls back to
 * this reserve: pages that were mapped before and that nobody has touched. A call makes sure that there is enough of it
 * before it does anything, and reports that memory is short if there is not.
 *
 * No locks: a fork or a failure in the middle of a call leaves the reserve usable.
 */
#ifndef MARTLET_MEMORY_RESERVE_H
#define MARTLET_MEMORY_RESERVE_H

#include <stddef.h>
#include <stdint.h>

/* 1 while the shared part of the reserve has the room that a call may need. */
extern int32_t martlet_reserve_is_filled_;

/* Maps what is missing; 0 if the system refuses. */
int32_t martlet_reserve_refill(void);

/* Room for what any call allocates beside its data; 0 if there is none and none can be had. */
static inline int32_t martlet_reserve_fill(void) {
  return __atomic_load_n(&martlet_reserve_is_filled_, __ATOMIC_ACQUIRE) || martlet_reserve_refill();
}

/* So many bytes for the calling thread alone, until martlet_reserve_end with the number that is returned; 0 if the system
 * refuses. Where the shared part has room enough, nothing is mapped. At most 4 GB. */
int32_t martlet_reserve_begin(size_t byte_count);
void martlet_reserve_end(int32_t number);

/* Memory from the reserve; NULL if it has too little. Alignment: a power of 2. */
void *martlet_reserve_allocate(size_t byte_count, size_t alignment);

/* Live allocations from the reserve. */
extern int64_t martlet_reserve_live_;

int32_t martlet_reserve_contains(const void *memory);
/* The size of an allocation of the reserve; 0 if the pointer is not one. */
size_t martlet_reserve_size(const void *memory);
/* 1 if the pointer was an allocation of the reserve, and has been freed. */
int32_t martlet_reserve_free(void *memory);

/* An aligned block that may be missing: NULL then, and the reserve is left alone. Freed by `free`. */
void *martlet_shims_allocate(size_t byte_count, size_t alignment);

#endif
