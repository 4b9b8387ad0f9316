/* The reserve: a few blocks of mapped pages, from which allocations are cut one after another. A block begins anew when its
 * last allocation has been freed. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "martlet_memory_reserve.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if defined(__linux__)
#include <malloc.h>
#endif

#if !defined(MAP_NORESERVE)
#define MAP_NORESERVE 0
#endif
#if !defined(MAP_ANONYMOUS)
#define MAP_ANONYMOUS MAP_ANON
#endif

enum { BLOCKS = 32, PAGE_BITS = 12, COUNT_BITS = 28, UNIT = 16 };

/* The shared part: mapped at once, and how much of it must be left for a call. Address space; pages count when touched. */
#define SHARED_BYTES ((size_t)4 << 20)
#define NEEDED_BYTES ((size_t)2 << 20)

/* `place`: the first page's number and the pages' count in one word, so that both are read together; 0: no block, 1: about to
 * be one.
 * `state`: generation (12 bits), live allocations (24 bits), used units (28 bits) in one word; a closed block is all used.
 * `owner`: the thread that alone may cut from it, 0: every thread. */
typedef struct block {
  _Atomic uint64_t place, state;
  _Atomic uintptr_t owner;
} block;

static block blocks[BLOCKS];
int32_t martlet_reserve_is_filled_ = 0;
int64_t martlet_reserve_live_ = 0;

#define COUNT_MASK (((uint64_t)1 << COUNT_BITS) - 1)
#define LIVE_ONE   ((uint64_t)1 << COUNT_BITS)
#define LIVE_MASK  (((uint64_t)0xFFFFFF) << COUNT_BITS)
#define GENERATION ((uint64_t)1 << 52)

static char *base_of(uint64_t place) {
  return (char *)(uintptr_t)(place >> COUNT_BITS << PAGE_BITS);
}
static size_t bytes_of(uint64_t place) {
  return (size_t)(place & COUNT_MASK) << PAGE_BITS;
}
static size_t used_bytes(uint64_t state) {
  return (size_t)(state & COUNT_MASK) * UNIT;
}
static uintptr_t this_thread(void) {
  return (uintptr_t)pthread_self();
}

/* Before each allocation, in its alignment. */
typedef struct header {
  size_t byte_count, unused;
} header;

static block *block_of(const void *memory) {
  if (__atomic_load_n(&martlet_reserve_live_, __ATOMIC_RELAXED) == 0) return NULL;
  for (int i = 0; i < BLOCKS; i++) {
    const uint64_t place = atomic_load_explicit(&blocks[i].place, memory_order_acquire);
    if (place <= 1) continue;
    if ((const char *)memory >= base_of(place) && (const char *)memory < base_of(place) + bytes_of(place)) return &blocks[i];
  }
  return NULL;
}

static size_t room_of(const block *b) {
  const uint64_t state = atomic_load_explicit(&b->state, memory_order_acquire);
  const uint64_t place = atomic_load_explicit(&b->place, memory_order_acquire);
  const size_t used = used_bytes(state);
  return place <= 1 || used > bytes_of(place) ? 0 : bytes_of(place) - used;
}

/* Cuts from one block; NULL if it has too little. */
static void *cut(block *b, size_t byte_count, size_t alignment) {
  if (alignment < UNIT) alignment = UNIT;
  const size_t most = byte_count + sizeof(header) + (alignment - UNIT);
  if (most < byte_count || most > (COUNT_MASK - 1) * UNIT) return NULL;
  const uint64_t units = (most + UNIT - 1) / UNIT;
  uint64_t state = atomic_load_explicit(&b->state, memory_order_acquire);
  while (1) {
    const uint64_t place = atomic_load_explicit(&b->place, memory_order_acquire);
    const size_t used = used_bytes(state);
    if (place <= 1 || used > bytes_of(place) || bytes_of(place) - used < units * UNIT) return NULL;
    if ((state & LIVE_MASK) == LIVE_MASK) return NULL;
    if (!atomic_compare_exchange_weak_explicit(&b->state, &state, state + LIVE_ONE + units, memory_order_acq_rel,
                                               memory_order_acquire))
      continue;
    __atomic_fetch_add(&martlet_reserve_live_, 1, __ATOMIC_RELAXED);
    const uintptr_t first = (uintptr_t)base_of(place) + used + sizeof(header);
    char *memory = (char *)((first + alignment - 1) & ~(uintptr_t)(alignment - 1));
    ((header *)memory)[-1].byte_count = byte_count;
    return memory;
  }
}

/* Maps a new block; NULL if the system refuses or every place is taken. */
static block *open_block(size_t byte_count, uintptr_t owner) {
  const size_t page = (size_t)1 << 16; /* of every system's page size */
  if (byte_count > COUNT_MASK * UNIT - 2 * page) byte_count = COUNT_MASK * UNIT - 2 * page;
  byte_count = (byte_count + page - 1) & ~(page - 1);
  for (int i = 0; i < BLOCKS; i++) {
    block *b = &blocks[i];
    uint64_t none = 0;
    if (!atomic_compare_exchange_strong_explicit(&b->place, &none, 1, memory_order_acq_rel, memory_order_relaxed)) continue;
    void *memory = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      atomic_store_explicit(&b->place, 0, memory_order_release);
      return NULL;
    }
    atomic_store_explicit(&b->owner, owner, memory_order_relaxed);
    const uint64_t state = atomic_load_explicit(&b->state, memory_order_relaxed);
    atomic_store_explicit(&b->state, (state & ~(LIVE_MASK | COUNT_MASK)) + GENERATION, memory_order_release);
    const uint64_t pages = (uint64_t)(byte_count >> PAGE_BITS);
    atomic_store_explicit(&b->place, ((uint64_t)(uintptr_t)memory >> PAGE_BITS) << COUNT_BITS | pages, memory_order_release);
    return b;
  }
  return NULL;
}

/* Unmaps a block of which nothing is in use; 0 if something is. */
static int close_block(block *b) {
  const uint64_t place = atomic_load_explicit(&b->place, memory_order_acquire);
  uint64_t state = atomic_load_explicit(&b->state, memory_order_acquire);
  if (place <= 1 || (state & LIVE_MASK) != 0) return 0;
  if (!atomic_compare_exchange_strong_explicit(&b->state, &state, state | COUNT_MASK, memory_order_acq_rel,
                                               memory_order_relaxed))
    return 0;
  atomic_store_explicit(&b->place, 0, memory_order_release);
  munmap(base_of(place), bytes_of(place));
  return 1;
}

static int has_shared_room(size_t byte_count) {
  for (int i = 0; i < BLOCKS; i++) {
    if (atomic_load_explicit(&blocks[i].owner, memory_order_relaxed) == 0 && room_of(&blocks[i]) >= byte_count) return 1;
  }
  return 0;
}

int32_t martlet_reserve_refill(void) {
  if (!has_shared_room(NEEDED_BYTES) && open_block(SHARED_BYTES, 0) == NULL) return 0;
  __atomic_store_n(&martlet_reserve_is_filled_, 1, __ATOMIC_RELEASE);
  return 1;
}

int32_t martlet_reserve_begin(size_t byte_count) {
  if (byte_count <= NEEDED_BYTES / 2) return martlet_reserve_fill() ? BLOCKS + 1 : 0;
  block *b = open_block(byte_count, this_thread());
  return b == NULL ? 0 : (int32_t)(b - blocks) + 1;
}

void martlet_reserve_end(int32_t number) {
  if (number < 1 || number > BLOCKS) return;
  block *b = &blocks[number - 1];
  if (!close_block(b)) atomic_store_explicit(&b->owner, 0, memory_order_release);
}

void *martlet_reserve_allocate(size_t byte_count, size_t alignment) {
  const uintptr_t thread = this_thread();
  for (int owned = 1; owned >= 0; owned--) {
    for (int i = 0; i < BLOCKS; i++) {
      if (atomic_load_explicit(&blocks[i].owner, memory_order_acquire) != (owned ? thread : 0)) continue;
      void *memory = cut(&blocks[i], byte_count, alignment);
      if (memory == NULL) continue;
      if (!owned && !has_shared_room(NEEDED_BYTES)) {
        __atomic_store_n(&martlet_reserve_is_filled_, 0, __ATOMIC_RELEASE);
      }
      return memory;
    }
  }
  /* Where malloc alone is out of memory, as under a limit of its own, the system may still have pages. */
  if (byte_count > COUNT_MASK * UNIT / 2 || alignment > COUNT_MASK) return NULL;
  const size_t most = byte_count + alignment + sizeof(header);
  block *b = open_block(most > SHARED_BYTES ? most : SHARED_BYTES, 0);
  return b == NULL ? NULL : cut(b, byte_count, alignment);
}

int32_t martlet_reserve_contains(const void *memory) {
  return block_of(memory) != NULL;
}

size_t martlet_reserve_size(const void *memory) {
  return block_of(memory) == NULL ? 0 : ((const header *)memory)[-1].byte_count;
}

int32_t martlet_reserve_free(void *memory) {
  block *b = block_of(memory);
  if (b == NULL) return 0;
  uint64_t state = atomic_load_explicit(&b->state, memory_order_acquire), next;
  do {
    next = state - LIVE_ONE;
    if ((next & LIVE_MASK) == 0) next &= ~COUNT_MASK; /* the last one: begin anew */
  } while (!atomic_compare_exchange_weak_explicit(&b->state, &state, next, memory_order_acq_rel, memory_order_acquire));
  __atomic_fetch_sub(&martlet_reserve_live_, 1, __ATOMIC_RELAXED);
  return 1;
}

void *martlet_shims_allocate(size_t byte_count, size_t alignment) {
#if defined(__linux__)
  /* Not posix_memalign, which in the shared library falls back to the reserve; nor aligned_alloc, which may refuse a size that is no
   * multiple of the alignment. */
  return memalign(alignment, byte_count);
#else
  void *memory = NULL;
  return posix_memalign(&memory, alignment, byte_count) == 0 ? memory : NULL;
#endif
}
