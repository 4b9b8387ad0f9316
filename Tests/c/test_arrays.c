/* Arrays: what may come in, what is refused, through martlet_tensor_create, which takes any of them. */
#include "tensors.h"

static const int64_t shape23[2] = {2, 3};

static martlet_status create(const martlet_array *argument, void *context) {
  return martlet_tensor_create((martlet_tensor **)context, argument);
}

static void test_malformed(void) {
  float values[6] = {0, 1, 2, 3, 4, 5};
  const martlet_array good = floats_of(values, 2, shape23);
  martlet_tensor *out;
  POISON(out);
  WATCH(values, sizeof values);
  check_array_argument(create, &out, &good, "source", ARRAY_INPUT);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_tensor_create(NULL, &good));
}

static void check_read(const martlet_array *source, int32_t rank, const int64_t *shape, const float *expected) {
  martlet_tensor *tensor = NULL;
  CHECK_OK(martlet_tensor_create(&tensor, source));
  if (tensor != NULL) CHECK_TENSOR(tensor, rank, shape, expected, 0);
  martlet_tensor_destroy(tensor);
}

static void test_dtypes(void) {
  const float expected[6] = {0, 1, 2, 3, 4, 250};
  float f32[6] = {0, 1, 2, 3, 4, 250};
  double f64[6] = {0, 1, 2, 3, 4, 250};
  int32_t i32[6] = {0, 1, 2, 3, 4, 250};
  int64_t i64[6] = {0, 1, 2, 3, 4, 250};
  uint8_t u8[6] = {0, 1, 2, 3, 4, 250};
  void *const memory[] = {f32, f64, i32, i64, u8};
  for (int32_t dtype = MARTLET_FLOAT32; dtype <= MARTLET_UINT8; dtype++) {
    const martlet_array source = array_of(memory[dtype], dtype, 2, shape23);
    check_read(&source, 2, shape23, expected);
  }
}

static void test_special_values(void) {
  const int64_t shape[1] = {4};
  float special[4] = {NAN, INFINITY, -INFINITY, -0.0f};
  const martlet_array floats = floats_of(special, 1, shape);
  check_read(&floats, 1, shape, special);

  /* float64: rounded to nearest; a finite number that would become infinite is an error. */
  double wide[4] = {INFINITY, -INFINITY, 1e-300, 0.1};
  const float expected[4] = {INFINITY, -INFINITY, 0.0f, 0.1f};
  const martlet_array doubles = array_of(wide, MARTLET_FLOAT64, 1, shape);
  check_read(&doubles, 1, shape, expected);
  wide[2] = -1e300;
  martlet_tensor *tensor = NULL;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "-1e+300 at [2]", martlet_tensor_create(&tensor, &doubles));
  CHECK(tensor == NULL);
}

static void test_strides(void) {
  float memory[12];
  for (int i = 0; i < 12; i++) memory[i] = (float)i;
  martlet_array source = floats_of(memory, 2, shape23);

  const int64_t every_other[2] = {6, 2};
  const float gaps[6] = {0, 2, 4, 6, 8, 10};
  source.strides = every_other;
  check_read(&source, 2, shape23, gaps);

  const int64_t transposed[2] = {1, 2};
  const float columns_first[6] = {0, 2, 4, 1, 3, 5};
  source.strides = transposed;
  check_read(&source, 2, shape23, columns_first);

  const int64_t backwards[2] = {-3, -1};
  const float reversed[6] = {5, 4, 3, 2, 1, 0};
  source.data = memory + 5;
  source.strides = backwards;
  check_read(&source, 2, shape23, reversed);

  const int64_t still[2] = {0, 0};
  const float repeated[6] = {7, 7, 7, 7, 7, 7};
  source.data = memory + 7;
  source.strides = still;
  check_read(&source, 2, shape23, repeated);

  const int64_t row_again[2] = {0, 1};
  const float broadcast[6] = {7, 8, 9, 7, 8, 9};
  source.strides = row_again;
  check_read(&source, 2, shape23, broadcast);
}

/* Strides that leave the address space must not be multiplied out and wrapped into something near. Nothing reads them: an empty
 * array and an axis of one element never step. */
static void test_strides_that_never_step(void) {
  const int64_t huge[2] = {INT64_MAX, INT64_MIN};
  const int64_t one[2] = {1, 1};
  const int64_t none[2] = {0, 3};
  float value = 5;
  martlet_array source = floats_of(&value, 2, one);
  source.strides = huge;
  check_read(&source, 2, one, &value);
  source.shape = none;
  check_read(&source, 2, none, &value);
}

static void test_strides_that_overflow(void) {
  const int64_t huge[2] = {INT64_MAX, 1};
  const int64_t wide[2] = {INT64_MAX / 8, INT64_MAX / 8};
  float values[6] = {0, 1, 2, 3, 4, 5};
  martlet_tensor *out;
  POISON(out);
  martlet_array source = floats_of(values, 2, shape23);
  source.strides = huge;
  CHECK_FAILS(BAD_SHAPE, "source", martlet_tensor_create(&out, &source));
  source.strides = wide;
  CHECK_FAILS(BAD_SHAPE, "source", martlet_tensor_create(&out, &source));
}

static void test_unaligned(void) {
  char bytes[6 * sizeof(double) + 1];
  const float expected[6] = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f};
  double wide[6];
  for (int i = 0; i < 6; i++) wide[i] = expected[i];
  memcpy(bytes + 1, expected, sizeof expected);
  martlet_array source = array_of(bytes + 1, MARTLET_FLOAT32, 2, shape23);
  check_read(&source, 2, shape23, expected);
  memcpy(bytes + 1, wide, sizeof wide);
  source.dtype = MARTLET_FLOAT64;
  check_read(&source, 2, shape23, expected);
}

static void test_ranks(void) {
  int64_t ones[MARTLET_MAX_RANK];
  for (int i = 0; i < MARTLET_MAX_RANK; i++) ones[i] = 1;
  float value = 3;
  for (int32_t rank = 0; rank <= MARTLET_MAX_RANK; rank++) {
    const martlet_array source = floats_of(&value, rank, rank == 0 ? NULL : ones);
    check_read(&source, rank, ones, &value);
  }
}

static void test_empty(void) {
  const int64_t shapes[3][3] = {{0, 3, 2}, {3, 0, 2}, {3, 2, 0}};
  for (int i = 0; i < 3; i++) {
    const martlet_array source = floats_of(NULL, 3, shapes[i]);
    check_read(&source, 3, shapes[i], NULL);
  }
}

static const check_test tests[] = {TEST(test_malformed),
                                   TEST(test_dtypes),
                                   TEST(test_special_values),
                                   TEST(test_strides),
                                   TEST(test_strides_that_never_step),
                                   TEST(test_strides_that_overflow),
                                   TEST(test_unaligned),
                                   TEST(test_ranks),
                                   TEST(test_empty)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
