/* arrays.h: describing memory to the API, and every wrong way to do it. */
#ifndef ARRAYS_H
#define ARRAYS_H

#include "check.h"

/* A contiguous array over `data`; `shape` must outlive it. */
static inline martlet_array array_of(void *data, int32_t dtype, int32_t rank, const int64_t *shape) {
  martlet_array array;
  array.data = data;
  array.shape = shape;
  array.strides = NULL;
  array.rank = rank;
  array.dtype = dtype;
  return array;
}

static inline martlet_array floats_of(float *data, int32_t rank, const int64_t *shape) {
  return array_of(data, MARTLET_FLOAT32, rank, shape);
}

static inline int64_t element_count(int32_t rank, const int64_t *shape) {
  int64_t count = 1;
  for (int32_t axis = 0; axis < rank; axis++) count *= shape[axis];
  return count;
}

/* Calls a function with `argument` in the place under test and everything else right. */
typedef martlet_status (*array_call)(const martlet_array *argument, void *context);

/* What an argument is allowed to be. */
enum {
  ARRAY_INPUT = 0,
  ARRAY_MAY_BE_NULL = 1,
  ARRAY_OUTPUT = 2, /* contiguous, float32 */
  ARRAY_FLOAT64_TOO = 4
};

/* Tries every malformed description in the place of `good` (rank >= 1, not empty). The memory is never touched, so it need not
 * be as large as the shapes say. */
static inline void check_array_argument(array_call call, void *context, const martlet_array *good, const char *word,
                                        int flags) {
  martlet_array bad;
  int64_t shape[MARTLET_MAX_RANK + 1];
  int64_t strides[MARTLET_MAX_RANK + 1];

  if (!(flags & ARRAY_MAY_BE_NULL)) CHECK_FAILS(STATUS(INVALID_ARGUMENT), word, call(NULL, context));

  bad = *good;
  bad.data = NULL;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), word, call(&bad, context));

  bad = *good;
  bad.shape = NULL;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), word, call(&bad, context));

  const int32_t ranks[] = {-1, MARTLET_MAX_RANK + 1, INT32_MIN, INT32_MAX};
  for (int i = 0; i <= MARTLET_MAX_RANK; i++) shape[i] = 1;
  for (int i = 0; i < CHECK_COUNT(ranks); i++) {
    bad = *good;
    bad.shape = shape;
    bad.rank = ranks[i];
    CHECK_FAILS(BAD_SHAPE, word, call(&bad, context));
  }

  const int64_t dimensions[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX / 2, (int64_t)1 << 61};
  for (int i = 0; i < CHECK_COUNT(dimensions); i++) {
    for (int32_t axis = 0; axis < good->rank; axis++) {
      bad = *good;
      memcpy(shape, good->shape, (size_t)good->rank * sizeof(int64_t));
      shape[axis] = dimensions[i];
      bad.shape = shape;
      CHECK_FAILS(BAD_SHAPE, word, call(&bad, context));
    }
  }
  /* A product that overflows to something small: 2^32 * 2^32. */
  bad = *good;
  for (int32_t axis = 0; axis < good->rank; axis++) shape[axis] = (int64_t)1 << 32;
  bad.shape = shape;
  if (good->rank >= 2) CHECK_FAILS(BAD_SHAPE, word, call(&bad, context));

  const int32_t dtypes[] = {-1, 5, 1000, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(dtypes); i++) {
    bad = *good;
    bad.dtype = dtypes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT) | STATUS(UNSUPPORTED), word, call(&bad, context));
  }

  if (flags & ARRAY_OUTPUT) {
    const int32_t others[] = {MARTLET_FLOAT64, MARTLET_INT32, MARTLET_INT64, MARTLET_UINT8};
    for (int i = (flags & ARRAY_FLOAT64_TOO) ? 1 : 0; i < CHECK_COUNT(others); i++) {
      bad = *good;
      bad.dtype = others[i];
      CHECK_FAILS(STATUS(INVALID_ARGUMENT) | STATUS(UNSUPPORTED), word, call(&bad, context));
    }
    if (good->shape[good->rank - 1] > 1) {
      bad = *good;
      for (int32_t axis = 0; axis < good->rank; axis++) strides[axis] = 2;
      bad.strides = strides;
      CHECK_FAILS(BAD_SHAPE | STATUS(UNSUPPORTED), word, call(&bad, context));
    }
  }
}

#endif /* ARRAYS_H */
