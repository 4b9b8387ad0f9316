/* tensors.h: making tensors of a few numbers and reading them back. */
#ifndef TENSORS_H
#define TENSORS_H

#include "arrays.h"

/* A tensor of rank 0 (rows < 0, columns < 0), 1 (rows < 0) or 2. NULL after a failed check. */
static inline martlet_tensor *tensor_of(int64_t rows, int64_t columns, const float *values) {
  const int64_t matrix[2] = {rows, columns};
  const int32_t rank = columns < 0 ? 0 : rows < 0 ? 1 : 2;
  const int64_t *shape = rank == 1 ? matrix + 1 : matrix;
  float copy[64];
  const int64_t count = element_count(rank, shape);
  if (count > 64) return NULL;
  memcpy(copy, values, (size_t)count * sizeof(float));
  const martlet_array source = floats_of(copy, rank, shape);
  martlet_tensor *tensor = NULL;
  CHECK_OK(martlet_tensor_create(&tensor, &source));
  return tensor;
}

static inline void check_tensor(const char *file, int line, const martlet_tensor *tensor, int32_t rank, const int64_t *shape,
                                const float *values, double tolerance) {
  martlet_view view;
  check_ok(file, line, "martlet_tensor_view", martlet_tensor_view(tensor, &view));
  check_int(file, line, "view.rank", rank, view.rank);
  check_int(file, line, "view.dtype", MARTLET_FLOAT32, view.dtype);
  if (rank != view.rank) return;
  int64_t count = 1;
  for (int32_t axis = rank - 1; axis >= 0; axis--) {
    check_int(file, line, "view.shape[axis]", shape[axis], view.shape[axis]);
    if (view.shape[axis] != shape[axis]) return;
    if (count != 0 && shape[axis] > 1) check_int(file, line, "view.strides[axis]", count, view.strides[axis]);
    count *= shape[axis];
  }
  const float *got = (const float *)view.data;
  for (int64_t i = 0; i < count; i++) check_close(file, line, "element", (double)values[i], (double)got[i], tolerance);
}

#define CHECK_TENSOR(tensor, rank, shape, values, tolerance) \
  check_tensor(__FILE__, __LINE__, (tensor), (rank), (shape), (values), (tolerance))

#endif /* TENSORS_H */
