/* malloc and its relatives, with the memory reserve behind them: where Swift would end the process because malloc has nothing,
 * it gets what was put aside for that. Package.swift lists the names for the linker. */
#include "allocation_wrappers.h"

#include "martlet_memory_reserve.h"

#if defined(__linux__)
#include <errno.h>
#include <string.h>

void *__real_malloc(size_t byte_count);
void *__real_calloc(size_t count, size_t byte_count);
void *__real_realloc(void *old, size_t byte_count);
int __real_posix_memalign(void **out, size_t alignment, size_t byte_count);
void __real_free(void *memory);
size_t __real_malloc_usable_size(void *memory);
void __real__ZdlPv(void *memory);
void __real__ZdlPvm(void *memory, size_t byte_count);

/* operator new(size_t, std::nothrow_t), and its second argument. */
void *_ZnwmRKSt9nothrow_t(size_t byte_count, const void *nothrow);
extern const char _ZSt7nothrow[];

void *__wrap_malloc(size_t byte_count);
void *__wrap_calloc(size_t count, size_t byte_count);
void *__wrap_realloc(void *old, size_t byte_count);
int __wrap_posix_memalign(void **out, size_t alignment, size_t byte_count);
void __wrap_free(void *memory);
size_t __wrap_malloc_usable_size(void *memory);
/* operator new(size_t) and the operators delete of its memory, as Swift's runtime (C++) calls them. */
void *__wrap__Znwm(size_t byte_count);
void __wrap__ZdlPv(void *memory);
void __wrap__ZdlPvm(void *memory, size_t byte_count);

enum { ALIGNMENT = 16 };

void *__wrap_malloc(size_t byte_count) {
  void *memory = __real_malloc(byte_count);
  return __builtin_expect(memory != NULL, 1) ? memory : martlet_reserve_allocate(byte_count, ALIGNMENT);
}

void *__wrap_calloc(size_t count, size_t byte_count) {
  void *memory = __real_calloc(count, byte_count);
  size_t total;
  if (memory != NULL || __builtin_mul_overflow(count, byte_count, &total)) return memory;
  memory = martlet_reserve_allocate(total, ALIGNMENT);
  return memory == NULL ? NULL : memset(memory, 0, total);
}

static int is_reserved(const void *memory) {
  return __builtin_expect(__atomic_load_n(&martlet_reserve_live_, __ATOMIC_RELAXED) != 0, 0) && memory != NULL &&
         martlet_reserve_contains(memory);
}

void *__wrap_realloc(void *old, size_t byte_count) {
  const int was_reserved = is_reserved(old);
  void *memory = was_reserved ? __real_malloc(byte_count) : __real_realloc(old, byte_count);
  if (memory == NULL && byte_count == 0) return NULL;
  if (memory != NULL && !was_reserved) return memory;
  if (memory == NULL) memory = martlet_reserve_allocate(byte_count, ALIGNMENT);
  if (memory == NULL || old == NULL) return memory;
  const size_t old_count = was_reserved ? martlet_reserve_size(old) : __real_malloc_usable_size(old);
  memcpy(memory, old, old_count < byte_count ? old_count : byte_count);
  __wrap_free(old);
  return memory;
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t byte_count) {
  const int code = __real_posix_memalign(out, alignment, byte_count);
  if (code != ENOMEM) return code;
  void *memory = martlet_reserve_allocate(byte_count, alignment);
  if (memory == NULL) return ENOMEM;
  *out = memory;
  return 0;
}

void __wrap_free(void *memory) {
  if (is_reserved(memory)) {
    martlet_reserve_free(memory);
  } else {
    __real_free(memory);
  }
}

size_t __wrap_malloc_usable_size(void *memory) {
  return is_reserved(memory) ? martlet_reserve_size(memory) : __real_malloc_usable_size(memory);
}

/* The program may have operators of its own: memory that is not the reserve's comes from them and goes back to them. */
void *__wrap__Znwm(size_t byte_count) {
  void *memory = _ZnwmRKSt9nothrow_t(byte_count, _ZSt7nothrow);
  if (memory == NULL) memory = martlet_reserve_allocate(byte_count, ALIGNMENT);
  if (memory == NULL) __builtin_trap();
  return memory;
}

void __wrap__ZdlPv(void *memory) {
  if (!is_reserved(memory) || !martlet_reserve_free(memory)) __real__ZdlPv(memory);
}

void __wrap__ZdlPvm(void *memory, size_t byte_count) {
  if (!is_reserved(memory) || !martlet_reserve_free(memory)) __real__ZdlPvm(memory, byte_count);
}
#endif
