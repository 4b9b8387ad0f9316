/* Twelve chains hide the latency of any current multiply-add unit and fit in sixteen registers. */
#include "peak.h"

/* The barrier keeps every chain's value in a register and unknown to the optimiser. */
#define KEEP(v) __asm__ volatile("" : REGISTER(v))
#define CHAINS 12

#define PEAK(NAME, LANES, TARGET, MULTIPLY_ADD)                                        \
  typedef float NAME##_vector __attribute__((vector_size(4 * LANES)));                 \
  TARGET static double NAME(long rounds) {                                             \
    NAME##_vector sums[CHAINS], factor;                                                \
    for (int j = 0; j < LANES; j++) factor[j] = 0.999f;                                \
    for (int i = 0; i < CHAINS; i++) sums[i] = factor * (float)(i + 1);                \
    for (long r = 0; r < rounds; r++) {                                                \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) {            \
        sums[i] = MULTIPLY_ADD;                                                        \
        KEEP(sums[i]);                                                                 \
      }                                                                                \
    }                                                                                  \
    return 2.0 * LANES * CHAINS * (double)rounds;                                      \
  }

#define FUSED __builtin_elementwise_fma(sums[i], factor, factor)
#if defined(__x86_64__)
#define REGISTER(v) "+v"(v)
PEAK(peak4, 4, , sums[i] * factor + factor)
PEAK(peak8, 8, __attribute__((target("avx2,fma"))), FUSED)
PEAK(peak16, 16, __attribute__((target("avx512f"))), FUSED)
#else
#define REGISTER(v) "+w"(v)
PEAK(peak4, 4, , FUSED)
#define peak8 peak4
#define peak16 peak4
#endif

double peak_operations(int lanes, long rounds) {
  return lanes == 16 ? peak16(rounds) : lanes == 8 ? peak8(rounds) : peak4(rounds);
}
