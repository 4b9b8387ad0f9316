/* What Swift cannot say: the CPU's identity, and memory that belongs to one thread. */
#ifndef MARTLET_SHIMS_H
#define MARTLET_SHIMS_H

#include <stddef.h>
#include <stdint.h>

/* Bits of martlet_shims_cpu_features. A bit is set only if the operating system saves the registers too. */
enum {
  MARTLET_SHIMS_AVX2_FMA = 1,
  MARTLET_SHIMS_AVX512 = 2 /* F, VL, DQ and BW together */
};

uint32_t martlet_shims_cpu_features(void);

/* Whether walks over memory ask for the lines that they will read; 0 where the CPU's own prefetching does better. */
extern int32_t martlet_shims_asks_for_reads_;
static inline int32_t martlet_shims_asks_for_reads(void) {
  return martlet_shims_asks_for_reads_;
}
/* For benchmarks, before any other thread runs. */
static inline void martlet_shims_set_asks_for_reads(int32_t asks) {
  martlet_shims_asks_for_reads_ = asks;
}

/* Size of the third-level cache that this CPU shares with its neighbours; 0 if unknown. */
int64_t martlet_shims_shared_cache_bytes(void);

/* A buffer of the calling thread for its last error message, NULL if there is no memory for one; the size includes the closing NUL. */
char *martlet_shims_message_buffer(void);
size_t martlet_shims_message_capacity(void);

/* The CPUs this process may run on, at least 1. */
int32_t martlet_shims_usable_processors(void);

/* Asks for large pages under memory that has not been touched yet: fewer translations of addresses to look up. A wish. */
void martlet_shims_prefer_large_pages(void *memory, size_t byte_count);

/* Tells the CPU that this is a waiting loop. */
void martlet_shims_pause(void);

#endif
