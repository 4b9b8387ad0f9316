/* Tensors: creating, reading, writing, arithmetic. */
#include "arrays.h"
#include "tensors.h"

static const float six[6] = {1, -2, 3, -4, 5, -6};
static const int64_t shape6[1] = {6}, shape23[2] = {2, 3}, shape32[2] = {3, 2}, shape3[1] = {3}, shape2[1] = {2};

static void test_create_filled(void) {
  martlet_tensor *out;
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_tensor_create_filled(NULL, 2, shape23, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "shape", martlet_tensor_create_filled(&out, 2, NULL, 1));
  const int32_t ranks[] = {-1, 17, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(ranks); i++) {
    CHECK_FAILS(BAD_SHAPE, "rank", martlet_tensor_create_filled(&out, ranks[i], shape23, 1));
  }
  const int64_t bad[][2] = {{-1, 3}, {3, -1}, {INT64_MAX, 1}, {INT64_MAX, INT64_MAX}, {(int64_t)1 << 32, (int64_t)1 << 32}};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    CHECK_FAILS(BAD_SHAPE | STATUS(OUT_OF_MEMORY), NULL, martlet_tensor_create_filled(&out, 2, bad[i], 1));
  }
  const int64_t petabytes[1] = {(int64_t)1 << 50};
  CHECK_FAILS(STATUS(OUT_OF_MEMORY) | BAD_SHAPE, NULL, martlet_tensor_create_filled(&out, 1, petabytes, 0));
  UNWATCH_ALL();

  const float expected[6] = {2.5f, 2.5f, 2.5f, 2.5f, 2.5f, 2.5f};
  CHECK_OK(martlet_tensor_create_filled(&out, 2, shape23, 2.5f));
  CHECK_TENSOR(out, 2, shape23, expected, 0);
  martlet_tensor_destroy(out);
  CHECK_OK(martlet_tensor_create_filled(&out, 0, NULL, NAN));
  const float nan = NAN;
  CHECK_TENSOR(out, 0, NULL, &nan, 0);
  martlet_tensor_destroy(out);
  martlet_tensor_destroy(NULL);
}

static void test_view(void) {
  martlet_tensor *tensor = tensor_of(2, 3, six);
  martlet_view view;
  POISON(view);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "tensor", martlet_tensor_view(NULL, &view));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_tensor_view(tensor, NULL));
  UNWATCH_ALL();
  CHECK_OK(martlet_tensor_view(tensor, &view));
  ((float *)view.data)[4] = 9; /* the memory itself */
  const int64_t index[2] = {1, 1};
  float value = 0;
  CHECK_OK(martlet_tensor_get(tensor, index, &value));
  CHECK_CLOSE(9, value, 0);
  martlet_tensor_destroy(tensor);
}

static void test_get_set(void) {
  martlet_tensor *tensor = tensor_of(2, 3, six);
  martlet_view view;
  CHECK_OK(martlet_tensor_view(tensor, &view));
  float value;
  POISON(value);
  WATCH(view.data, sizeof six);
  const int64_t index[2] = {1, 2};
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "tensor", martlet_tensor_get(NULL, index, &value));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_tensor_get(tensor, NULL, &value));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_tensor_get(tensor, index, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "tensor", martlet_tensor_set(NULL, index, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_tensor_set(tensor, NULL, 1));
  const int64_t outside[][2] = {{-1, 0}, {0, -1}, {2, 0}, {0, 3}, {INT64_MAX, 0}, {0, INT64_MIN}};
  for (int i = 0; i < CHECK_COUNT(outside); i++) {
    CHECK_FAILS(BAD_SHAPE, "index", martlet_tensor_get(tensor, outside[i], &value));
    CHECK_FAILS(BAD_SHAPE, "index", martlet_tensor_set(tensor, outside[i], 1));
  }
  UNWATCH_ALL();
  CHECK_OK(martlet_tensor_get(tensor, index, &value));
  CHECK_CLOSE(-6, value, 0);
  CHECK_OK(martlet_tensor_set(tensor, index, 8));
  CHECK_OK(martlet_tensor_get(tensor, index, &value));
  CHECK_CLOSE(8, value, 0);
  martlet_tensor_destroy(tensor);

  martlet_tensor *scalar = tensor_of(-1, -1, six);
  CHECK_OK(martlet_tensor_set(scalar, NULL, 4)); /* rank 0: no numbers, so no index */
  CHECK_OK(martlet_tensor_get(scalar, NULL, &value));
  CHECK_CLOSE(4, value, 0);
  martlet_tensor_destroy(scalar);
}

static void test_reshape(void) {
  martlet_tensor *tensor = tensor_of(2, 3, six), *out;
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_tensor_reshape(NULL, tensor, 1, shape6));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "x", martlet_tensor_reshape(&out, NULL, 1, shape6));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "shape", martlet_tensor_reshape(&out, tensor, 1, NULL));
  CHECK_FAILS(BAD_SHAPE, "rank", martlet_tensor_reshape(&out, tensor, -1, shape6));
  CHECK_FAILS(BAD_SHAPE, "rank", martlet_tensor_reshape(&out, tensor, 17, shape6));
  CHECK_FAILS(BAD_SHAPE, "shape", martlet_tensor_reshape(&out, tensor, 0, NULL));
  const int64_t bad[][2] = {{2, 4}, {-2, -3}, {-1, 6}, {0, 6}, {INT64_MAX, 2}, {(int64_t)1 << 32, (int64_t)1 << 32}};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    CHECK_FAILS(BAD_SHAPE, "shape", martlet_tensor_reshape(&out, tensor, 2, bad[i]));
  }
  UNWATCH_ALL();
  CHECK_OK(martlet_tensor_reshape(&out, tensor, 2, shape32));
  CHECK_TENSOR(out, 2, shape32, six, 0);
  const int64_t first[2] = {0, 0};
  CHECK_OK(martlet_tensor_set(out, first, 99)); /* a copy: the other stays */
  CHECK_TENSOR(tensor, 2, shape23, six, 0);
  martlet_tensor_destroy(out);
  martlet_tensor_destroy(tensor);
}

static void test_binary(void) {
  const float other[6] = {2, 2, -3, 4, -5, 0.5f};
  const float expected[6][6] = {{3, 0, 0, 0, 0, -5.5f},      {-1, -4, 6, -8, 10, -6.5f}, {2, -4, -9, -16, -25, -3},
                                {0.5f, -1, -1, -1, -1, -12}, {2, 2, 3, 4, 5, 0.5f},      {1, -2, -3, -4, -5, -6}};
  martlet_tensor *a = tensor_of(2, 3, six), *b = tensor_of(2, 3, other), *out;
  for (int32_t operation = MARTLET_ADD; operation <= MARTLET_MINIMUM; operation++) {
    CHECK_OK(martlet_tensor_binary(&out, operation, a, b));
    CHECK_TENSOR(out, 2, shape23, expected[operation], 0);
    martlet_tensor_destroy(out);
  }
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_tensor_binary(NULL, MARTLET_ADD, a, b));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "a", martlet_tensor_binary(&out, MARTLET_ADD, NULL, b));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "b", martlet_tensor_binary(&out, MARTLET_ADD, a, NULL));
  const int32_t unknown[] = {-1, 6, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(unknown); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "operation", martlet_tensor_binary(&out, unknown[i], a, b));
  }
  martlet_tensor *two = tensor_of(-1, 2, six), *turned = tensor_of(3, 2, six);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), NULL, martlet_tensor_binary(&out, MARTLET_ADD, a, two));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), NULL, martlet_tensor_binary(&out, MARTLET_ADD, turned, a));
  UNWATCH_ALL();

  martlet_tensor *row = tensor_of(-1, 3, other), *scalar = tensor_of(-1, -1, other);
  const float a_minus_row[6] = {-1, -4, 6, -6, 3, -3}, row_minus_a[6] = {1, 4, -6, 6, -3, 3};
  const float a_minus_two[6] = {-1, -4, 1, -6, 3, -8}, two_minus_a[6] = {1, 4, -1, 6, -3, 8};
  CHECK_OK(martlet_tensor_binary(&out, MARTLET_SUBTRACT, a, row));
  CHECK_TENSOR(out, 2, shape23, a_minus_row, 0);
  martlet_tensor_destroy(out);
  CHECK_OK(martlet_tensor_binary(&out, MARTLET_SUBTRACT, row, a));
  CHECK_TENSOR(out, 2, shape23, row_minus_a, 0);
  martlet_tensor_destroy(out);
  CHECK_OK(martlet_tensor_binary(&out, MARTLET_SUBTRACT, a, scalar));
  CHECK_TENSOR(out, 2, shape23, a_minus_two, 0);
  martlet_tensor_destroy(out);
  CHECK_OK(martlet_tensor_binary(&out, MARTLET_SUBTRACT, scalar, a));
  CHECK_TENSOR(out, 2, shape23, two_minus_a, 0);
  martlet_tensor_destroy(out);
  martlet_tensor *all[] = {a, b, two, turned, row, scalar};
  for (int i = 0; i < CHECK_COUNT(all); i++) martlet_tensor_destroy(all[i]);
}

static void test_unary(void) {
  const float positive[6] = {0.25f, 1, 4, 9, 16, 0};
  martlet_tensor *x = tensor_of(2, 3, positive), *out;
  float expected[6][6];
  for (int i = 0; i < 6; i++) {
    const double value = positive[i];
    expected[MARTLET_NEGATE][i] = (float)-value;
    expected[MARTLET_ABSOLUTE][i] = (float)value;
    expected[MARTLET_SQUARE][i] = (float)(value * value);
    expected[MARTLET_SQUARE_ROOT][i] = (float)sqrt(value);
    expected[MARTLET_EXPONENTIAL][i] = (float)exp(value);
    expected[MARTLET_LOGARITHM][i] = (float)log(value);
  }
  for (int32_t operation = MARTLET_NEGATE; operation <= MARTLET_LOGARITHM; operation++) {
    /* e^x in float32: a few units in the last place of the largest answer, e^16. */
    const double tolerance = operation == MARTLET_EXPONENTIAL ? 4 * exp(16.0) / 16777216 : 4.0 * 3 / 16777216;
    CHECK_OK(martlet_tensor_unary(&out, operation, x));
    CHECK_TENSOR(out, 2, shape23, expected[operation], tolerance);
    martlet_tensor_destroy(out);
  }
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_tensor_unary(NULL, MARTLET_NEGATE, x));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "x", martlet_tensor_unary(&out, MARTLET_NEGATE, NULL));
  const int32_t unknown[] = {-1, 6, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(unknown); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "operation", martlet_tensor_unary(&out, unknown[i], x));
  }
  martlet_tensor_destroy(x);
}

static void test_activation_and_softmax(void) {
  const float values[6] = {-1000, -1, 0, 1, 1000, 3};
  martlet_tensor *x = tensor_of(2, 3, values), *out;
  float expected[4][6], softmax[6];
  for (int i = 0; i < 6; i++) {
    const double value = values[i];
    expected[MARTLET_IDENTITY][i] = values[i];
    expected[MARTLET_SIGMOID][i] = (float)(1 / (1 + exp(-value)));
    expected[MARTLET_TANH][i] = (float)tanh(value);
    expected[MARTLET_RELU][i] = value > 0 ? values[i] : 0;
  }
  for (int row = 0; row < 2; row++) {
    double sum = 0, largest = -INFINITY;
    for (int i = 0; i < 3; i++) largest = fmax(largest, values[3 * row + i]);
    for (int i = 0; i < 3; i++) sum += exp(values[3 * row + i] - largest);
    for (int i = 0; i < 3; i++) softmax[3 * row + i] = (float)(exp(values[3 * row + i] - largest) / sum);
  }
  const double tolerance = 8.0 / 16777216; /* answers up to 1, a few roundings */
  for (int32_t activation = MARTLET_IDENTITY; activation <= MARTLET_RELU; activation++) {
    CHECK_OK(martlet_tensor_activation(&out, activation, x));
    CHECK_TENSOR(out, 2, shape23, expected[activation], tolerance);
    martlet_tensor_destroy(out);
  }
  CHECK_OK(martlet_tensor_softmax(&out, x));
  CHECK_TENSOR(out, 2, shape23, softmax, tolerance);
  martlet_tensor_destroy(out);

  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_tensor_activation(NULL, MARTLET_TANH, x));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "x", martlet_tensor_activation(&out, MARTLET_TANH, NULL));
  const int32_t unknown[] = {-1, 4, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(unknown); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "activation", martlet_tensor_activation(&out, unknown[i], x));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_tensor_softmax(NULL, x));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "x", martlet_tensor_softmax(&out, NULL));
  martlet_tensor_destroy(x);
}

static void test_matmul(void) {
  const float b_values[6] = {7, 8, 9, 10, 11, 12};
  const int64_t square2[2] = {2, 2}, square3[2] = {3, 3};
  const float product[4] = {1 * 7 - 2 * 9 + 3 * 11, 1 * 8 - 2 * 10 + 3 * 12, -4 * 7 + 5 * 9 - 6 * 11, -4 * 8 + 5 * 10 - 6 * 12};
  const float other_transposed[4] = {7 - 16 + 27, 10 - 22 + 36, -28 + 40 - 54, -40 + 55 - 72};
  const float transposed[9] = {1 * 7 - 4 * 10, 8 - 44, 9 - 48, -14 + 50, -16 + 55, -18 + 60, 21 - 60, 24 - 66, 27 - 72};
  martlet_tensor *a = tensor_of(2, 3, six), *b32 = tensor_of(3, 2, b_values), *b23 = tensor_of(2, 3, b_values), *out;
  CHECK_OK(martlet_tensor_matmul(&out, a, b32, 0, 0));
  CHECK_TENSOR(out, 2, square2, product, 0);
  martlet_tensor_destroy(out);
  CHECK_OK(martlet_tensor_matmul(&out, a, b23, 0, 1));
  CHECK_TENSOR(out, 2, square2, other_transposed, 0);
  martlet_tensor_destroy(out);
  CHECK_OK(martlet_tensor_matmul(&out, a, b23, 1, 0));
  CHECK_TENSOR(out, 2, square3, transposed, 0);
  martlet_tensor_destroy(out);
  const float both[9] = {1 * 7 - 4 * 8, 9 - 40, 11 - 48, -14 + 40, -18 + 50, -22 + 60, 21 - 48, 27 - 60, 33 - 72};
  CHECK_OK(martlet_tensor_matmul(&out, a, b32, 1, 1));
  CHECK_TENSOR(out, 2, square3, both, 0);
  martlet_tensor_destroy(out);

  martlet_tensor *vector = tensor_of(-1, 3, six);
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_tensor_matmul(NULL, a, b32, 0, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "a", martlet_tensor_matmul(&out, NULL, b32, 0, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "b", martlet_tensor_matmul(&out, a, NULL, 0, 0));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), NULL, martlet_tensor_matmul(&out, a, b23, 0, 0));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), NULL, martlet_tensor_matmul(&out, vector, b32, 0, 0));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), NULL, martlet_tensor_matmul(&out, a, vector, 0, 0));
  const int32_t odd[] = {2, -1, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(odd); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "transpose_a", martlet_tensor_matmul(&out, a, b32, odd[i], 0));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "transpose_b", martlet_tensor_matmul(&out, a, b32, 0, odd[i]));
  }
  UNWATCH_ALL();

  /* No inner dimension: sums of nothing. */
  const int64_t inner0[2] = {2, 0}, inner0b[2] = {0, 2};
  const float zeros[4] = {0, 0, 0, 0};
  martlet_tensor *e = NULL, *f = NULL;
  CHECK_OK(martlet_tensor_create_filled(&e, 2, inner0, 1));
  CHECK_OK(martlet_tensor_create_filled(&f, 2, inner0b, 1));
  CHECK_OK(martlet_tensor_matmul(&out, e, f, 0, 0));
  CHECK_TENSOR(out, 2, square2, zeros, 0);
  martlet_tensor_destroy(out);
  martlet_tensor *all[] = {a, b32, b23, vector, e, f};
  for (int i = 0; i < CHECK_COUNT(all); i++) martlet_tensor_destroy(all[i]);
}

static martlet_status matmul_in_place_of_a(const martlet_array *a, void *rest) {
  const martlet_array *others = (const martlet_array *)rest;
  return martlet_matmul(a, &others[0], &others[1]);
}

static martlet_status matmul_in_place_of_c(const martlet_array *c, void *rest) {
  const martlet_array *others = (const martlet_array *)rest;
  return martlet_matmul(&others[0], &others[1], c);
}

static void test_matmul_of_arrays(void) {
  float a_values[6] = {1, -2, 3, -4, 5, -6}, b_values[6] = {7, 8, 9, 10, 11, 12}, c_values[4];
  const int64_t shape23[2] = {2, 3}, shape32[2] = {3, 2}, shape22[2] = {2, 2}, turned[2] = {1, 3};
  const float product[4] = {1 * 7 - 2 * 9 + 3 * 11, 1 * 8 - 2 * 10 + 3 * 12, -4 * 7 + 5 * 9 - 6 * 11, -4 * 8 + 5 * 10 - 6 * 12};
  const float other_transposed[4] = {7 - 16 + 27, 10 - 22 + 36, -28 + 40 - 54, -40 + 55 - 72};
  martlet_array a = floats_of(a_values, 2, shape23), b = floats_of(b_values, 2, shape32), c = floats_of(c_values, 2, shape22);
  CHECK_OK(martlet_matmul(&a, &b, &c));
  for (int i = 0; i < 4; i++) CHECK_CLOSE(product[i], c_values[i], 0);
  martlet_array b_transposed = b; /* [2, 3] read as its transpose */
  b_transposed.strides = turned;
  CHECK_OK(martlet_matmul(&a, &b_transposed, &c));
  for (int i = 0; i < 4; i++) CHECK_CLOSE(other_transposed[i], c_values[i], 0);

  /* Without an inner dimension: zeros. */
  const int64_t shape20[2] = {2, 0}, shape02[2] = {0, 2};
  const float zeros[4] = {0, 0, 0, 0};
  martlet_array empty_a = floats_of(NULL, 2, shape20), empty_b = floats_of(NULL, 2, shape02);
  CHECK_OK(martlet_matmul(&empty_a, &empty_b, &c));
  for (int i = 0; i < 4; i++) CHECK_CLOSE(zeros[i], c_values[i], 0);

  martlet_array a_others[2] = {b, c}, c_others[2] = {a, b};
  check_array_argument(matmul_in_place_of_a, a_others, &a, "a", ARRAY_INPUT);
  check_array_argument(matmul_in_place_of_c, c_others, &c, "c", ARRAY_OUTPUT);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "inner dimensions", martlet_matmul(&a, &a, &c));
  const int64_t shape6[1] = {6};
  martlet_array vector = floats_of(a_values, 1, shape6), overlapping = floats_of(a_values, 2, shape22);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "two matrices", martlet_matmul(&vector, &b, &c));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "shares memory", martlet_matmul(&a, &b, &overlapping));
}

static void test_reduce(void) {
  martlet_tensor *x = tensor_of(2, 3, six), *out;
  const float over_rows[4][3] = {{-3, 3, -3}, {-1.5f, 1.5f, -1.5f}, {1, 5, 3}, {-4, -2, -6}};
  const float over_columns[4][2] = {{2, -5}, {(float)(2 / 3.0), (float)(-5 / 3.0)}, {3, 5}, {-2, -6}};
  const float over_all[4] = {-3, -0.5f, 5, -6};
  const double tolerance = 2.0 / 16777216;
  for (int32_t operation = MARTLET_SUM; operation <= MARTLET_REDUCE_MINIMUM; operation++) {
    for (int32_t axis = -2; axis <= 1; axis++) {
      CHECK_OK(martlet_tensor_reduce(&out, operation, x, axis));
      if (axis == 0 || axis == -2) CHECK_TENSOR(out, 1, shape3, over_rows[operation], tolerance);
      if (axis == 1 || axis == -1) CHECK_TENSOR(out, 1, shape2, over_columns[operation], tolerance);
      martlet_tensor_destroy(out);
    }
    CHECK_OK(martlet_tensor_reduce(&out, operation, x, MARTLET_ALL_AXES));
    CHECK_TENSOR(out, 0, NULL, &over_all[operation], tolerance);
    martlet_tensor_destroy(out);
  }
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_tensor_reduce(NULL, MARTLET_SUM, x, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "x", martlet_tensor_reduce(&out, MARTLET_SUM, NULL, 0));
  const int32_t unknown[] = {-1, 4, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(unknown); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "operation", martlet_tensor_reduce(&out, unknown[i], x, 0));
  }
  const int32_t axes[] = {2, -3, 1000, INT32_MIN, INT32_MAX - 1};
  for (int i = 0; i < CHECK_COUNT(axes); i++) {
    CHECK_FAILS(BAD_SHAPE, "axis", martlet_tensor_reduce(&out, MARTLET_SUM, x, axes[i]));
  }
  martlet_tensor_destroy(x);

  const int64_t nothing[2] = {0, 3};
  CHECK_OK(martlet_tensor_create_filled(&x, 2, nothing, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), NULL, martlet_tensor_reduce(&out, MARTLET_REDUCE_MAXIMUM, x, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), NULL, martlet_tensor_reduce(&out, MARTLET_REDUCE_MINIMUM, x, MARTLET_ALL_AXES));
  UNWATCH_ALL();
  const float zeros[3] = {0, 0, 0};
  CHECK_OK(martlet_tensor_reduce(&out, MARTLET_SUM, x, 0));
  CHECK_TENSOR(out, 1, shape3, zeros, 0);
  martlet_tensor_destroy(out);
  martlet_tensor_destroy(x);
}

static const check_test tests[] = {TEST(test_create_filled),
                                   TEST(test_view),
                                   TEST(test_get_set),
                                   TEST(test_reshape),
                                   TEST(test_binary),
                                   TEST(test_unary),
                                   TEST(test_activation_and_softmax),
                                   TEST(test_matmul),
                                   TEST(test_matmul_of_arrays),
                                   TEST(test_reduce)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
