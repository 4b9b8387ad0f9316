/* arguments.h: random arguments, right and wrong, for call_sequences.c. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "models.h"

static uint64_t random_state;

static inline uint64_t next_random(void) { /* splitmix64 */
  uint64_t z = (random_state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static inline int below(int bound) {
  return (int)(next_random() % (uint64_t)bound);
}
static inline int one_in(int n) {
  return below(n) == 0;
}

/* Mostly `right`. */
static inline int32_t any_int(int32_t right) {
  static const int32_t odd[] = {-1, 2, 17, 1000, INT32_MIN, INT32_MAX};
  return one_in(12) ? odd[below(CHECK_COUNT(odd))] : right;
}

static inline int64_t any_size(int64_t right) {
  static const int64_t odd[] = {0, -1, 3, INT64_MIN, INT64_MAX, (int64_t)1 << 32, (int64_t)1 << 61};
  return one_in(12) ? odd[below(CHECK_COUNT(odd))] : right;
}

static inline double any_number(double right) {
  const double odd[] = {0, -1, 1, 1e300, -1e300, 1e-300, (double)NAN, (double)INFINITY, -(double)INFINITY};
  return one_in(12) ? odd[below(CHECK_COUNT(odd))] : right;
}

static inline const char *any_name(const char *right) {
  static const char *const odd[] = {
      "", "/", "a/b", "dense1", "norm1.weight", "\xff\xc0", "nobody", "a very long name, as long as this"};
  if (one_in(20)) return NULL;
  return one_in(6) ? odd[below(CHECK_COUNT(odd))] : right;
}

/* An array over memory that holds what its shape says, or one that a check must refuse. */
typedef struct lying_array {
  int64_t shape[MARTLET_MAX_RANK + 1], strides[MARTLET_MAX_RANK + 1];
  martlet_array array;
} lying_array;

/* A dimension that no check may let pass. One between what the memory holds and what no memory holds would be the caller's
 * crime. */
static inline int64_t impossible_size(void) {
  static const int64_t sizes[] = {-1, INT64_MIN, INT64_MAX, (int64_t)1 << 61};
  return sizes[below(CHECK_COUNT(sizes))];
}

/* `memory` must hold `rank` <= 4 dimensions, and if `rank` is 1, one more: d1. */
static inline const martlet_array *any_array_of(lying_array *a, float *memory, int32_t rank, const int64_t *dimensions,
                                                int64_t d1) {
  for (int i = 0; i <= MARTLET_MAX_RANK; i++) {
    a->shape[i] = i < rank ? dimensions[i] : i == 1 ? d1 : 1;
    a->strides[i] = 0;
  }
  a->array = floats_of(memory, rank, a->shape);
  switch (below(40)) {
    case 0: return NULL;
    case 1: a->array.data = NULL; break;
    case 2: a->array.shape = NULL; break;
    case 3: a->array.rank = one_in(2) ? -1 : INT32_MAX; break;
    case 4: a->array.dtype = one_in(2) ? 5 : INT32_MIN; break;
    case 5: a->array.dtype = one_in(2) ? MARTLET_UINT8 : MARTLET_INT32; break; /* memory enough for both */
    case 6: a->shape[below(rank)] = impossible_size(); break;
    case 7: /* the product overflows to 0 */
      for (int i = 0; rank >= 2 && i < rank; i++) a->shape[i] = (int64_t)1 << 32;
      break;
    case 8: a->array.strides = a->strides; break; /* all zero: one element again and again */
    case 9:
      a->array.strides = a->strides;
      if (a->shape[0] > 1) a->strides[0] = INT64_MAX / 2;
      break;
    case 10: a->shape[0] = 0; break;
    case 11: a->array.rank = rank == 1 ? 2 : rank - 1; break; /* memory enough for both, if no dimension is 0 */
    case 12: a->array.rank = 0; break;
    case 13: a->array.rank = MARTLET_MAX_RANK; break;
    default: break;
  }
  return &a->array;
}

/* `rank` 1: [d0], 2: [d0, d1]. `memory` must hold them. */
static inline const martlet_array *any_array(lying_array *a, float *memory, int32_t rank, int64_t d0, int64_t d1) {
  const int64_t dimensions[2] = {d0, d1};
  return any_array_of(a, memory, rank, dimensions, d1);
}

/* `a` twice, for calls that take as many arrays as they are told: a model here has one or two outputs. */
static inline const martlet_array *twice(martlet_array pair[2], const martlet_array *a) {
  if (a == NULL) return NULL;
  pair[0] = pair[1] = *a;
  return pair;
}

#endif /* ARGUMENTS_H */
