/* The library as a guest of a process: the floating-point environment of the host's threads, and what must end before it is unloaded. */
#ifndef MARTLET_PROCESS_H
#define MARTLET_PROCESS_H

#include <stdint.h>

/* ---- floating-point environment ---- */

/* The control and status register of the calling thread's vector unit. */
typedef struct martlet_fp_environment {
  uint64_t control; /* x86-64: MXCSR, flags included; AArch64: FPCR */
  uint64_t status;  /* AArch64: FPSR */
  uint64_t outer;   /* what martlet_fp_leave puts back for callbacks of the surrounding call */
} martlet_fp_environment;

/* Round to nearest, denormal numbers kept, exceptions masked; and what was there before. */
martlet_fp_environment martlet_fp_enter_slowly_(martlet_fp_environment before);
/* Puts back what martlet_fp_enter returned, exception flags included. */
void martlet_fp_leave_slowly_(martlet_fp_environment before);
/* For a callback in the middle of a call: the environment in which the thread entered the library; and back. */
void martlet_fp_begin_callback(void);
void martlet_fp_end_callback(void);

#if defined(__x86_64__)
#define MARTLET_FP_CONTROL_BITS 0xffc0u
#define MARTLET_FP_STANDARD     0x1f80u

static inline martlet_fp_environment martlet_fp_enter(void) {
  const martlet_fp_environment before = {__builtin_ia32_stmxcsr(), 0, 0};
  if (__builtin_expect((before.control & MARTLET_FP_CONTROL_BITS) == MARTLET_FP_STANDARD, 1)) return before;
  return martlet_fp_enter_slowly_(before);
}
static inline void martlet_fp_leave(martlet_fp_environment before) {
  if (__builtin_ia32_stmxcsr() != before.control) martlet_fp_leave_slowly_(before);
}
static inline void martlet_fp_set_standard(void) {
  __builtin_ia32_ldmxcsr(MARTLET_FP_STANDARD);
}
#elif defined(__aarch64__)
static inline martlet_fp_environment martlet_fp_enter(void) {
  martlet_fp_environment before = {0, 0, 0};
  __asm__ volatile("mrs %0, fpcr" : "=r"(before.control));
  __asm__ volatile("mrs %0, fpsr" : "=r"(before.status));
  if (__builtin_expect(before.control == 0, 1)) return before;
  return martlet_fp_enter_slowly_(before);
}
static inline void martlet_fp_leave(martlet_fp_environment before) {
  martlet_fp_leave_slowly_(before);
}
static inline void martlet_fp_set_standard(void) {
  const uint64_t standard = 0;
  __asm__ volatile("msr fpcr, %0" : : "r"(standard));
}
#else
static inline martlet_fp_environment martlet_fp_enter(void) {
  const martlet_fp_environment before = {0, 0, 0};
  return before;
}
static inline void martlet_fp_leave(martlet_fp_environment before) {
  (void)before;
}
static inline void martlet_fp_set_standard(void) {}
#endif

/* ---- unloading ---- */

/* Has `end_threads` called when the library is unloaded or the process exits, for no thread may be left in code that goes away. A
 * process calls it only if it has started threads itself: not a child that was made without the handlers of pthread_atfork. */
void martlet_process_at_unload(void (*end_threads)(void));
/* To be called before this process starts a thread that only `end_threads` ends. */
void martlet_process_will_start_threads(void);

#endif
