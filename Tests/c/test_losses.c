/* martlet_loss: values, gradients, and what it refuses. */
#include "arrays.h"

enum { ROWS = 3, CLASSES = 4, COUNT = ROWS * CLASSES };
static const int64_t matrix[2] = {ROWS, CLASSES}, vector[1] = {ROWS}, other_matrix[2] = {CLASSES, ROWS};

static float logits[COUNT] = {1, 2, 3, 4, 0, 0, 0, 0, -1, 5, 2, 0};
static int64_t labels[ROWS] = {3, 1, 0};
static float targets[COUNT] = {0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0};

static double row_loss(int row, int label) {
  double sum = 0;
  for (int i = 0; i < CLASSES; i++) sum += exp(logits[row * CLASSES + i]);
  return log(sum) - logits[row * CLASSES + label];
}

static void test_cross_entropy(void) {
  const martlet_array output = floats_of(logits, 2, matrix);
  const martlet_array label_array = array_of(labels, MARTLET_INT64, 1, vector), target_array = floats_of(targets, 2, matrix);
  float gradient[COUNT], again[COUNT];
  const martlet_array gradient_array = floats_of(gradient, 2, matrix), again_array = floats_of(again, 2, matrix);
  double loss = 0, expected = 0;
  int64_t correct = -1;
  for (int row = 0; row < ROWS; row++) expected += row_loss(row, (int)labels[row]) / ROWS;
  CHECK_OK(martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &output, &label_array, &loss, &correct, &gradient_array));
  CHECK_CLOSE(expected, loss, 1e-6);
  CHECK_INT(1, correct); /* row 0; in row 1 all are equal and the first is taken */
  for (int row = 0; row < ROWS; row++) {
    for (int i = 0; i < CLASSES; i++) {
      const double probability = exp(-row_loss(row, i));
      CHECK_CLOSE((probability - targets[row * CLASSES + i]) / ROWS, gradient[row * CLASSES + i], 1e-7);
    }
  }
  CHECK_OK(martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &output, &target_array, &loss, NULL, &again_array));
  CHECK_CLOSE(expected, loss, 1e-6);
  for (int i = 0; i < COUNT; i++) CHECK_CLOSE(gradient[i], again[i], 1e-7);
  CHECK_OK(martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &output, &label_array, &loss, NULL, NULL));

  const int32_t narrow[ROWS] = {3, 1, 0};
  const uint8_t bytes[ROWS] = {3, 1, 0};
  const martlet_array narrow_array = array_of((void *)(uintptr_t)narrow, MARTLET_INT32, 1, vector);
  const martlet_array byte_array = array_of((void *)(uintptr_t)bytes, MARTLET_UINT8, 1, vector);
  CHECK_OK(martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &output, &narrow_array, &loss, NULL, NULL));
  CHECK_CLOSE(expected, loss, 1e-6);
  CHECK_OK(martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &output, &byte_array, &loss, NULL, NULL));
  CHECK_CLOSE(expected, loss, 1e-6);
}

static void test_other_losses(void) {
  const martlet_array output = floats_of(logits, 2, matrix), target = floats_of(targets, 2, matrix);
  float gradient[COUNT];
  const martlet_array gradient_array = floats_of(gradient, 2, matrix);
  double loss = 0, squares = 0, binary = 0;
  for (int i = 0; i < COUNT; i++) {
    const double x = logits[i], t = targets[i];
    squares += (x - t) * (x - t) / COUNT;
    binary += (log1p(exp(-fabs(x))) + fmax(x, 0) - x * t) / COUNT;
  }
  CHECK_OK(martlet_loss(MARTLET_LOSS_MEAN_SQUARED_ERROR, &output, &target, &loss, NULL, &gradient_array));
  CHECK_CLOSE(squares, loss, 1e-6);
  for (int i = 0; i < COUNT; i++) CHECK_CLOSE(2.0 * (logits[i] - targets[i]) / COUNT, gradient[i], 1e-6);
  CHECK_OK(martlet_loss(MARTLET_LOSS_BINARY_CROSS_ENTROPY, &output, &target, &loss, NULL, &gradient_array));
  CHECK_CLOSE(binary, loss, 1e-6);
  for (int i = 0; i < COUNT; i++) CHECK_CLOSE((1 / (1 + exp(-logits[i])) - targets[i]) / COUNT, gradient[i], 1e-7);
}

enum { OUTPUT, TARGET, GRADIENT };
typedef struct slot {
  int which, kind;
  martlet_array output, target, gradient;
  double loss;
  int64_t correct;
} slot;

static martlet_status loss_with(const martlet_array *argument, void *context) {
  slot *s = (slot *)context;
  return martlet_loss(s->kind, s->which == OUTPUT ? argument : &s->output, s->which == TARGET ? argument : &s->target, &s->loss,
                      &s->correct, s->which == GRADIENT ? argument : &s->gradient);
}

static void test_arguments(void) {
  float gradient[COUNT];
  slot s;
  memset(&s, 0, sizeof s);
  POISON(gradient);
  POISON(s.loss);
  POISON(s.correct);
  s.output = floats_of(logits, 2, matrix);
  s.gradient = floats_of(gradient, 2, matrix);
  for (s.kind = MARTLET_LOSS_CROSS_ENTROPY; s.kind <= MARTLET_LOSS_BINARY_CROSS_ENTROPY; s.kind++) {
    s.target = floats_of(targets, 2, matrix);
    s.which = OUTPUT;
    check_array_argument(loss_with, &s, &s.output, "output", ARRAY_INPUT);
    s.which = TARGET;
    check_array_argument(loss_with, &s, &s.target, "target", ARRAY_INPUT);
    const martlet_array turned = floats_of(targets, 2, other_matrix);
    CHECK_FAILS(STATUS(SHAPE_MISMATCH), "target", loss_with(&turned, &s));
    s.which = GRADIENT;
    check_array_argument(loss_with, &s, &s.gradient, "gradient", ARRAY_OUTPUT | ARRAY_MAY_BE_NULL);
    CHECK_FAILS(STATUS(SHAPE_MISMATCH), "gradient", loss_with(&turned, &s));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out_loss",
                martlet_loss(s.kind, &s.output, &s.target, NULL, &s.correct, &s.gradient));
  }
  const int32_t kinds[] = {-1, 3, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(kinds); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "kind",
                martlet_loss(kinds[i], &s.output, &s.target, &s.loss, &s.correct, &s.gradient));
  }
}

static void test_targets_out_of_range(void) {
  float gradient[COUNT], wrong[COUNT];
  slot s;
  memset(&s, 0, sizeof s);
  POISON(gradient);
  POISON(s.loss);
  POISON(s.correct);
  s.output = floats_of(logits, 2, matrix);
  s.gradient = floats_of(gradient, 2, matrix);
  s.which = TARGET;
  s.kind = MARTLET_LOSS_CROSS_ENTROPY;
  const int64_t classes[] = {-1, CLASSES, INT64_MIN, INT64_MAX, (int64_t)1 << 32};
  for (int i = 0; i < CHECK_COUNT(classes); i++) {
    int64_t bad[ROWS] = {0, 1, classes[i]};
    const martlet_array array = array_of(bad, MARTLET_INT64, 1, vector);
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "target", loss_with(&array, &s));
  }
  float fractions[ROWS] = {0, 1, 2};
  const martlet_array float_labels = floats_of(fractions, 1, vector); /* labels are integers */
  CHECK_FAILS(STATUS(INVALID_ARGUMENT) | STATUS(SHAPE_MISMATCH) | STATUS(UNSUPPORTED), "target", loss_with(&float_labels, &s));
  s.kind = MARTLET_LOSS_BINARY_CROSS_ENTROPY;
  const float outside[] = {-0.25f, 1.25f, NAN, INFINITY};
  for (int i = 0; i < CHECK_COUNT(outside); i++) {
    memcpy(wrong, targets, sizeof wrong);
    wrong[5] = outside[i];
    const martlet_array array = floats_of(wrong, 2, matrix);
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "target", loss_with(&array, &s));
  }
}

/* One set of rules for all losses: what is taken, and what is refused with row and value. */
static void test_target_rules(void) {
  slot s;
  memset(&s, 0, sizeof s);
  float gradient[COUNT], wrong[COUNT];
  POISON(gradient);
  POISON(s.loss);
  POISON(s.correct);
  s.output = floats_of(logits, 2, matrix);
  s.gradient = floats_of(gradient, 2, matrix);
  s.which = TARGET;
  const martlet_array array = floats_of(wrong, 2, matrix);
  s.kind = MARTLET_LOSS_CROSS_ENTROPY;
  const float bad[] = {-1, NAN, INFINITY, -INFINITY, 0.5f, 2}; /* the row's other values are 0 and 1 */
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    memcpy(wrong, targets, sizeof wrong);
    wrong[4] = bad[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "row 1", loss_with(&array, &s));
  }
  const int32_t classes[COUNT] = {0, 1, 2, 3, 0, 1, 0, 0, 1, 0, 0, 0}; /* integers of the output's shape, not one-hot */
  const martlet_array integers = array_of((void *)(uintptr_t)classes, MARTLET_INT32, 2, matrix);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "one-hot", loss_with(&integers, &s));
  s.kind = MARTLET_LOSS_MEAN_SQUARED_ERROR;
  for (int i = 1; i < 4; i++) {
    memcpy(wrong, targets, sizeof wrong);
    wrong[11] = bad[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "row 2, column 3", loss_with(&array, &s));
  }
  double wide[COUNT] = {0};
  wide[2] = 1e300;
  const martlet_array doubles = array_of(wide, MARTLET_FLOAT64, 2, matrix);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "float32 cannot hold", loss_with(&doubles, &s));

  /* Cross-entropy of one class is always 0. */
  const int64_t column_shape[2] = {ROWS, 1};
  const martlet_array column = floats_of(logits, 2, column_shape);
  int64_t zeros[ROWS] = {0, 0, 0};
  const martlet_array zero_labels = array_of(zeros, MARTLET_INT64, 2, column_shape);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "2 or more classes",
              martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &column, &zero_labels, &s.loss, &s.correct, NULL));
  UNWATCH_ALL();

  /* A column of labels; [rows] for outputs [rows, 1]. */
  double loss = 0, same = 0;
  int64_t correct = 0;
  const martlet_array row_labels = array_of(labels, MARTLET_INT64, 1, vector);
  const martlet_array column_labels = array_of(labels, MARTLET_INT64, 2, column_shape);
  CHECK_OK(martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &s.output, &row_labels, &loss, NULL, NULL));
  CHECK_OK(martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &s.output, &column_labels, &same, NULL, NULL));
  CHECK_CLOSE(loss, same, 0);
  const martlet_array vector_target = floats_of(targets, 1, vector), column_target = floats_of(targets, 2, column_shape);
  for (int kind = MARTLET_LOSS_MEAN_SQUARED_ERROR; kind <= MARTLET_LOSS_BINARY_CROSS_ENTROPY; kind++) {
    CHECK_OK(martlet_loss(kind, &column, &column_target, &loss, &correct, NULL));
    CHECK_OK(martlet_loss(kind, &column, &vector_target, &same, NULL, NULL));
    CHECK_CLOSE(loss, same, 0);
    CHECK(kind == MARTLET_LOSS_MEAN_SQUARED_ERROR ? correct == -1 : correct >= 0);
  }

  /* No rows have no mean; an infinite logit on the target's side costs nothing. */
  const int64_t none[2] = {0, CLASSES}, two[2] = {2, 1};
  const martlet_array empty = floats_of(logits, 2, none);
  CHECK_OK(martlet_loss(MARTLET_LOSS_MEAN_SQUARED_ERROR, &empty, &empty, &loss, NULL, NULL));
  CHECK(isnan(loss));
  float infinite[2] = {INFINITY, -INFINITY}, right[2] = {1, 0}, swapped[2] = {0, 1};
  const martlet_array far = floats_of(infinite, 2, two), truth = floats_of(right, 2, two), lie = floats_of(swapped, 2, two);
  CHECK_OK(martlet_loss(MARTLET_LOSS_BINARY_CROSS_ENTROPY, &far, &truth, &loss, &correct, NULL));
  CHECK_CLOSE(0, loss, 0);
  CHECK_INT(2, correct);
  CHECK_OK(martlet_loss(MARTLET_LOSS_BINARY_CROSS_ENTROPY, &far, &lie, &loss, &correct, NULL));
  CHECK(isinf(loss) && loss > 0);
}

static const check_test tests[] = {TEST(test_cross_entropy), TEST(test_other_losses), TEST(test_arguments),
                                   TEST(test_targets_out_of_range), TEST(test_target_rules)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
