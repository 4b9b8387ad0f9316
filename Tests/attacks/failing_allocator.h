/* failing_allocator.h: a malloc that fails when it is told to, for the whole process; include it in one file of a program.
 *
 *   failing_allocator_arm(1024, 3, 0)       the third allocation of 1 KB or more from now on fails
 *   failing_allocator_arm(1024, 3, 1)       ... and every one after it
 *   failing_allocator_disarm()              returns how many of that size there were
 *
 * A program's own malloc takes the place of the C library's, for all the libraries in the process. glibc only. */
#ifndef FAILING_ALLOCATOR_H
#define FAILING_ALLOCATOR_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static struct {
  int is_armed, fails_on;
  size_t least;
  int64_t fails_at, count, failures;
} failing_allocator;

static inline void failing_allocator_arm(size_t least, int64_t fails_at, int fails_on) {
  failing_allocator.least = least;
  failing_allocator.fails_at = fails_at;
  failing_allocator.fails_on = fails_on;
  failing_allocator.failures = 0;
  __atomic_store_n(&failing_allocator.count, 0, __ATOMIC_SEQ_CST);
  __atomic_store_n(&failing_allocator.is_armed, 1, __ATOMIC_SEQ_CST);
}

static inline int64_t failing_allocator_disarm(void) {
  __atomic_store_n(&failing_allocator.is_armed, 0, __ATOMIC_SEQ_CST);
  return __atomic_load_n(&failing_allocator.count, __ATOMIC_SEQ_CST);
}

static int failing_allocator_fails(size_t size) {
  if (!__atomic_load_n(&failing_allocator.is_armed, __ATOMIC_SEQ_CST) || size < failing_allocator.least) return 0;
  const int64_t number = __atomic_add_fetch(&failing_allocator.count, 1, __ATOMIC_SEQ_CST);
  if (failing_allocator.fails_on ? number < failing_allocator.fails_at : number != failing_allocator.fails_at) return 0;
  __atomic_add_fetch(&failing_allocator.failures, 1, __ATOMIC_SEQ_CST);
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t size) {
  return failing_allocator_fails(size) ? NULL : __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
  return count != 0 && size <= SIZE_MAX / count && failing_allocator_fails(count * size) ? NULL : __libc_calloc(count, size);
}
void *realloc(void *old, size_t size) {
  return failing_allocator_fails(size) ? NULL : __libc_realloc(old, size);
}
void *memalign(size_t alignment, size_t size) {
  return failing_allocator_fails(size) ? NULL : __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  return failing_allocator_fails(size) ? NULL : __libc_memalign(alignment, size);
}
int posix_memalign(void **out, size_t alignment, size_t size) {
  void *memory;
  if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
  if (failing_allocator_fails(size)) return ENOMEM;
  memory = __libc_memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *out = memory;
  return 0;
}

#endif /* FAILING_ALLOCATOR_H */
