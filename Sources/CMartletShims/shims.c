/* The only C in the library: cpuid with xgetbv, and system calls that Swift cannot name. */
#define _GNU_SOURCE
#include "martlet_shims.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

int32_t martlet_shims_asks_for_reads_ = 1;

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

/* XCR0: which register files the operating system saves on a context switch. */
static uint64_t enabled_register_state(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return ((uint64_t)high << 32) | low;
}

uint32_t martlet_shims_cpu_features(void) {
  uint32_t a, b, c, d;
  uint32_t features = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  const int has_fma = (c >> 12) & 1, has_f16c = (c >> 29) & 1, has_osxsave = (c >> 27) & 1, has_avx = (c >> 28) & 1;
  if (!has_osxsave || !has_avx) return 0;
  const uint64_t state = enabled_register_state();
  const int saves_ymm = (state & 0x6) == 0x6;   /* xmm, ymm */
  const int saves_zmm = (state & 0xe6) == 0xe6; /* xmm, ymm, masks, zmm halves */
  if (!saves_ymm || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  const int has_avx2 = (b >> 5) & 1;
  const int has_512 = ((b >> 16) & 1) && ((b >> 17) & 1) && ((b >> 30) & 1) && ((b >> 31) & 1);
  if (has_avx2 && has_fma && has_f16c) features |= MARTLET_SHIMS_AVX2_FMA;
  if ((features & MARTLET_SHIMS_AVX2_FMA) && has_512 && saves_zmm) features |= MARTLET_SHIMS_AVX512;
  return features;
}

/* Measured: Intel's Sapphire Rapids does up to twice as much when it is asked, AMD's Zen 4 does less (ChannelMap.swift has the figures). */
__attribute__((constructor)) static void choose_lookahead(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(0, &a, &b, &c, &d)) return;
  /* "AuthenticAMD", and "HygonGenuine" of the same design. */
  if (b == 0x68747541 || b == 0x6f677948) martlet_shims_asks_for_reads_ = 0;
}

/* Intel describes its caches in leaf 4, AMD in a leaf of the same form. */
int64_t martlet_shims_shared_cache_bytes(void) {
  const uint32_t leaves[] = {4, 0x8000001d};
  for (int i = 0; i < 2; i++) {
    for (uint32_t index = 0; index < 16; index++) {
      uint32_t a, b, c, d;
      if (!__get_cpuid_count(leaves[i], index, &a, &b, &c, &d) || (a & 0x1f) == 0) break;
      if (((a >> 5) & 7) != 3) continue;
      return ((int64_t)(b >> 22) + 1) * (((b >> 12) & 0x3ff) + 1) * ((b & 0xfff) + 1) * ((int64_t)c + 1);
    }
  }
  return 0;
}

void martlet_shims_pause(void) {
  _mm_pause();
}
#else
uint32_t martlet_shims_cpu_features(void) {
  return 0;
}
int64_t martlet_shims_shared_cache_bytes(void) {
  return 0;
}
void martlet_shims_pause(void) {
#if defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
#endif

void martlet_shims_prefer_large_pages(void *memory, size_t byte_count) {
#if defined(__linux__)
  madvise(memory, byte_count, MADV_HUGEPAGE);
#else
  (void)memory;
  (void)byte_count;
#endif
}

int32_t martlet_shims_usable_processors(void) {
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) return CPU_COUNT(&mask);
#endif
  const long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int32_t)count : 1;
}
