#include "martlet_process.h"

#include <sys/types.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* ---- floating-point environment ---- */

/* The environment in which this thread entered the library, where it is not the standard one (with IS_SET, for 0 is one, too); for
 * callbacks. */
static _Thread_local uint64_t callers_control;
#define IS_SET ((uint64_t)1 << 63)

static void set_control(uint64_t control) {
#if defined(__x86_64__)
  _mm_setcsr((uint32_t)control);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(control));
#else
  (void)control;
#endif
}

martlet_fp_environment martlet_fp_enter_slowly_(martlet_fp_environment before) {
  before.outer = callers_control;
  callers_control = before.control | IS_SET;
  martlet_fp_set_standard();
  return before;
}

void martlet_fp_leave_slowly_(martlet_fp_environment before) {
#if defined(__x86_64__)
  if ((before.control & MARTLET_FP_CONTROL_BITS) != MARTLET_FP_STANDARD) callers_control = before.outer;
#elif defined(__aarch64__)
  if (before.control != 0) callers_control = before.outer;
  __asm__ volatile("msr fpsr, %0" : : "r"(before.status));
#endif
  set_control(before.control);
}

void martlet_fp_begin_callback(void) {
  if (callers_control != 0) set_control(callers_control & ~IS_SET);
}

void martlet_fp_end_callback(void) {
  martlet_fp_set_standard();
}

/* ---- unloading ---- */

static void (*end_threads_at_unload)(void);
static pid_t owner_of_threads;

void martlet_process_at_unload(void (*end_threads)(void)) {
  end_threads_at_unload = end_threads;
}

void martlet_process_will_start_threads(void) {
  owner_of_threads = getpid();
}

/* Runs before the C++ destructors of the library's own Swift runtime, which __cxa_finalize calls afterwards. */
__attribute__((destructor)) static void unload(void) {
  if (end_threads_at_unload && owner_of_threads == getpid()) end_threads_at_unload();
}
