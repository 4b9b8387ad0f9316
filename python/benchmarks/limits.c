/* The machine's limits, one number a line: `peak` in multiply-adds' operations a second; `read`, `write`, `copy` in bytes a
 * second for a working set shared by all threads (a copy counts what it reads and what it writes).
 *
 *     limits THREADS SECONDS SIZE...
 *
 * Every figure is the best of several runs, for a disturbed run says nothing about the machine. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__AVX512F__)
#define WIDTH    64
#define REGISTER "+v"
#elif defined(__AVX__)
#define WIDTH    32
#define REGISTER "+x"
#elif defined(__x86_64__)
#define WIDTH    16
#define REGISTER "+x"
#else
#define WIDTH    16
#define REGISTER "+w"
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef float vector __attribute__((vector_size(WIDTH)));
#define KEEP(v) __asm__ volatile("" : REGISTER(v))
/* Twelve chains hide the latency of the multiply-add units and fit in sixteen registers; named one by one, for an array of them
 * may be kept in memory. */
#define ALL(DO)   DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define EIGHT(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define CHAINS    12
#define LANES     (WIDTH / 4)

enum { PEAK, READ, WRITE, STREAM, COPY, STREAM_COPY, KINDS };

#define RUNS 20

typedef struct {
  pthread_barrier_t *barrier;
  int kind;
  size_t bytes; /* of this thread's working set */
  double seconds, rates[RUNS];
} job;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double peak(long rounds) {
  vector factor;
  for (int j = 0; j < LANES; j++) factor[j] = 0.999f;
#define START(i) vector sum##i = factor * (float)(i + 1);
#define STEP(i)                      \
  sum##i = sum##i * factor + factor; \
  KEEP(sum##i);
  ALL(START)
  for (long r = 0; r < rounds; r++) {
    ALL(STEP)
  }
  return 2.0 * LANES * CHAINS * (double)rounds;
}

static void store(vector *p, vector v, int streaming) {
#if defined(__AVX512F__)
  if (streaming) {
    _mm512_stream_ps((float *)p, (__m512)v);
    return;
  }
#elif defined(__AVX__)
  if (streaming) {
    _mm256_stream_ps((float *)p, (__m256)v);
    return;
  }
#elif defined(__x86_64__)
  if (streaming) {
    _mm_stream_ps((float *)p, (__m128)v);
    return;
  }
#endif
  (void)streaming;
  *p = v;
}

/* One pass; `count` is a multiple of eight. Returns the bytes moved. */
static double pass(int kind, vector *p, size_t count) {
  size_t half = count / 2;
  vector zero = {0};
#define ZERO(i) vector sum##i = zero;
#define ADD(i)  sum##i += p[k + i];
#define KEPT(i) KEEP(sum##i);
  switch (kind) {
    case READ: {
      EIGHT(ZERO)
      for (size_t k = 0; k < count; k += 8) {
        EIGHT(ADD)
      }
      EIGHT(KEPT)
      break;
    }
    case WRITE:
      for (size_t i = 0; i < count; i++) {
        store(p + i, zero, 0);
        KEEP(zero);
      }
      break;
    case STREAM:
      for (size_t i = 0; i < count; i++) {
        store(p + i, zero, 1);
        KEEP(zero);
      }
      break;
    case COPY:
      for (size_t i = 0; i < half; i++) {
        vector v = p[i];
        KEEP(v);
        store(p + half + i, v, 0);
      }
      break;
    default:
      for (size_t i = 0; i < half; i++) {
        vector v = p[i];
        KEEP(v);
        store(p + half + i, v, 1);
      }
  }
  return (double)(count * sizeof(vector));
}

static void *work(void *argument) {
  job *j = argument;
  size_t count = j->bytes / sizeof(vector) / 16 * 16;
  vector *p = NULL;
  if (j->kind != PEAK) {
    if (posix_memalign((void **)&p, 4096, count * sizeof(vector))) exit(1);
    memset(p, 0, count * sizeof(vector));
    pass(j->kind, p, count);
  }
  for (int run = 0; run < RUNS; run++) {
    pthread_barrier_wait(j->barrier); /* all threads begin together */
    double begun = now(), amount = 0, taken;
    do {
      amount += j->kind == PEAK ? peak(2000) : pass(j->kind, p, count);
      taken = now() - begun;
    } while (taken < j->seconds);
    j->rates[run] = amount / taken;
  }
  free(p);
  return NULL;
}

/* The sum of all threads' rates in one run; the best of all runs. */
static double measure(int kind, int threads, double seconds, size_t bytes) {
  double best = 0;
  pthread_barrier_t barrier;
  pthread_t handles[64];
  job jobs[64];
  pthread_barrier_init(&barrier, NULL, (unsigned)threads);
  for (int i = 0; i < threads; i++) {
    jobs[i] = (job){.barrier = &barrier, .kind = kind, .bytes = bytes / (size_t)threads, .seconds = seconds};
    if (pthread_create(&handles[i], NULL, work, &jobs[i])) exit(1);
  }
  for (int i = 0; i < threads; i++) pthread_join(handles[i], NULL);
  for (int run = 0; run < RUNS; run++) {
    double sum = 0;
    for (int i = 0; i < threads; i++) sum += jobs[i].rates[run];
    if (sum > best) best = sum;
  }
  pthread_barrier_destroy(&barrier);
  return best;
}

static double larger(double a, double b) {
  return a > b ? a : b;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int threads = atoi(argv[1]);
  double seconds = atof(argv[2]);
  if (threads < 1 || threads > 64) return 2;
  printf("lanes 0 %d\n", LANES);
  printf("peak 0 %.6g\n", measure(PEAK, threads, seconds, 0));
  for (int i = 3; i < argc; i++) {
    size_t bytes = strtoull(argv[i], NULL, 10);
    double write = larger(measure(WRITE, threads, seconds, bytes), measure(STREAM, threads, seconds, bytes));
    double copy = larger(measure(COPY, threads, seconds, bytes), measure(STREAM_COPY, threads, seconds, bytes));
    printf("read %zu %.6g\nwrite %zu %.6g\ncopy %zu %.6g\n", bytes, measure(READ, threads, seconds, bytes), bytes, write, bytes,
           copy);
  }
  return 0;
}
