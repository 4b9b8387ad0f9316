/* martlet_batch_norm and martlet_batch_norm_gradients as plain functions on arrays. */
#include "arrays.h"

#include <string.h>

enum { ROWS = 4, CHANNELS = 3, COUNT = ROWS * CHANNELS };

/* Columns in symmetric pairs about a representable mean, so that the answers are exact: means 0, 10, -5; variances 5/2, 5/2,
 * 4. */
static const float x_values[COUNT] = {-1, 9, -7, 1, 11, -3, -2, 8, -7, 2, 12, -3};
static const double means[CHANNELS] = {0, 10, -5}, variances[CHANNELS] = {2.5, 2.5, 4};
static const int64_t matrix[2] = {ROWS, CHANNELS}, vector[1] = {CHANNELS}, wrong_vector[1] = {CHANNELS + 1};
static const double epsilon = 0.25;

/* Everything a call needs; the tests replace one field. */
typedef struct call {
  float x[COUNT], y[COUNT], scale[CHANNELS], shift[CHANNELS], grad_output[COUNT];
  double mean[CHANNELS], variance[CHANNELS];
  martlet_array x_array, y_array, scale_array, shift_array, mean_array, variance_array, grad_output_array;
  float grad_input[COUNT], grad_scale[CHANNELS], grad_shift[CHANNELS];
  martlet_array grad_input_array, grad_scale_array, grad_shift_array;
} call;

static void prepare(call *c) {
  memset(c, 0, sizeof *c);
  memcpy(c->x, x_values, sizeof x_values);
  for (int i = 0; i < CHANNELS; i++) {
    c->scale[i] = 0.5f * (float)(i + 1);
    c->shift[i] = (float)i - 1;
    c->mean[i] = means[i];
    c->variance[i] = variances[i];
  }
  for (int i = 0; i < COUNT; i++) c->grad_output[i] = (float)((i * 7) % 5) - 2;
  c->x_array = floats_of(c->x, 2, matrix);
  c->y_array = floats_of(c->y, 2, matrix);
  c->scale_array = floats_of(c->scale, 1, vector);
  c->shift_array = floats_of(c->shift, 1, vector);
  c->mean_array = array_of(c->mean, MARTLET_FLOAT64, 1, vector);
  c->variance_array = array_of(c->variance, MARTLET_FLOAT64, 1, vector);
  c->grad_output_array = floats_of(c->grad_output, 2, matrix);
  c->grad_input_array = floats_of(c->grad_input, 2, matrix);
  c->grad_scale_array = floats_of(c->grad_scale, 1, vector);
  c->grad_shift_array = floats_of(c->grad_shift, 1, vector);
}

static double expected_y(const call *c, int i) {
  const int k = i % CHANNELS;
  return c->scale[k] * (x_values[i] - means[k]) / sqrt(variances[k] + epsilon) + c->shift[k];
}

/* Three roundings of answers up to 2.5. */
static const double tolerance = 3 * 4.0 / 16777216;

static void test_own_statistics(void) {
  call c;
  prepare(&c);
  memset(c.mean, 0, sizeof c.mean);
  memset(c.variance, 0, sizeof c.variance);
  CHECK_OK(martlet_batch_norm(&c.x_array, -1, epsilon, MARTLET_IDENTITY, &c.scale_array, &c.shift_array, NULL, NULL, &c.y_array,
                              &c.mean_array, &c.variance_array));
  for (int i = 0; i < COUNT; i++) CHECK_CLOSE(expected_y(&c, i), c.y[i], tolerance);
  for (int k = 0; k < CHANNELS; k++) {
    CHECK_CLOSE(means[k], c.mean[k], 0);
    CHECK_CLOSE(variances[k], c.variance[k], 0);
  }
  /* In place, without scale, shift and statistics; rank 2's axis 1 is the last one. */
  CHECK_OK(martlet_batch_norm(&c.x_array, 1, epsilon, MARTLET_IDENTITY, NULL, NULL, NULL, NULL, &c.x_array, NULL, NULL));
  for (int i = 0; i < COUNT; i++) {
    const int k = i % CHANNELS;
    CHECK_CLOSE((x_values[i] - means[k]) / sqrt(variances[k] + epsilon), c.x[i], tolerance);
  }
}

static void test_given_statistics(void) {
  call c;
  prepare(&c);
  c.mean[0] = 1;
  c.variance[0] = 8.75; /* 1/sqrt(9) */
  CHECK_OK(martlet_batch_norm(&c.x_array, -1, epsilon, MARTLET_IDENTITY, NULL, NULL, &c.mean_array, &c.variance_array,
                              &c.y_array, NULL, NULL));
  for (int i = 0; i < COUNT; i += CHANNELS) CHECK_CLOSE((x_values[i] - 1) / 3.0, c.y[i], tolerance);

  /* float32 statistics in, float32 statistics out. */
  float mean[CHANNELS] = {1, 0, 0}, variance[CHANNELS] = {8.75f, 1, 1}, out_mean[CHANNELS], out_variance[CHANNELS];
  const martlet_array mean_array = floats_of(mean, 1, vector), variance_array = floats_of(variance, 1, vector);
  const martlet_array out_mean_array = floats_of(out_mean, 1, vector), out_variance_array = floats_of(out_variance, 1, vector);
  CHECK_OK(martlet_batch_norm(&c.x_array, -1, epsilon, MARTLET_IDENTITY, NULL, NULL, &mean_array, &variance_array, &c.y_array,
                              &out_mean_array, &out_variance_array));
  for (int i = 0; i < COUNT; i += CHANNELS) CHECK_CLOSE((x_values[i] - 1) / 3.0, c.y[i], tolerance);
  for (int k = 0; k < CHANNELS; k++) {
    CHECK_CLOSE(mean[k], out_mean[k], 0);
    CHECK_CLOSE(variance[k], out_variance[k], 0);
  }
  /* One row is enough where the statistics are given. */
  const int64_t one_row[2] = {1, CHANNELS};
  const martlet_array x1 = floats_of(c.x, 2, one_row), y1 = floats_of(c.y, 2, one_row);
  CHECK_OK(martlet_batch_norm(&x1, -1, epsilon, MARTLET_IDENTITY, NULL, NULL, &mean_array, &variance_array, &y1, NULL, NULL));
}

static void test_channels_first(void) {
  call c;
  prepare(&c);
  const int64_t first[3] = {2, CHANNELS, 2}; /* [N, C, L] */
  float x[COUNT], y[COUNT];
  for (int n = 0; n < 2; n++) {
    for (int k = 0; k < CHANNELS; k++) {
      for (int l = 0; l < 2; l++) x[(n * CHANNELS + k) * 2 + l] = x_values[(n * 2 + l) * CHANNELS + k];
    }
  }
  const martlet_array x_array = floats_of(x, 3, first), y_array = floats_of(y, 3, first);
  CHECK_OK(martlet_batch_norm(&x_array, 1, epsilon, MARTLET_IDENTITY, &c.scale_array, &c.shift_array, NULL, NULL, &y_array,
                              NULL, NULL));
  for (int n = 0; n < 2; n++) {
    for (int k = 0; k < CHANNELS; k++) {
      for (int l = 0; l < 2; l++) {
        CHECK_CLOSE(expected_y(&c, (n * 2 + l) * CHANNELS + k), y[(n * CHANNELS + k) * 2 + l], tolerance);
      }
    }
  }
}

static void test_empty_and_single(void) {
  call c;
  prepare(&c);
  const int64_t no_rows[2] = {0, CHANNELS}, one_row[2] = {1, CHANNELS};
  martlet_array x = floats_of(NULL, 2, no_rows), y = floats_of(NULL, 2, no_rows);
  POISON(c.mean);
  POISON(c.variance);
  CHECK_OK(martlet_batch_norm(&x, -1, epsilon, MARTLET_IDENTITY, NULL, NULL, NULL, NULL, &y, &c.mean_array, &c.variance_array));
  POISON(c.y);
  x = floats_of(c.x, 2, one_row);
  y = floats_of(c.y, 2, one_row);
  /* The empty call wrote no statistics, and this one says what is wrong: the watches cover both. */
  CHECK_FAILS(
      STATUS(INVALID_ARGUMENT), "x",
      martlet_batch_norm(&x, -1, epsilon, MARTLET_IDENTITY, NULL, NULL, NULL, NULL, &y, &c.mean_array, &c.variance_array));
}

static void test_gradients(void) {
  call c;
  prepare(&c);
  double sums[CHANNELS] = {0}, products[CHANNELS] = {0};
  for (int i = 0; i < COUNT; i++) {
    const int k = i % CHANNELS;
    sums[k] += c.grad_output[i];
    products[k] += c.grad_output[i] * (x_values[i] - means[k]) / sqrt(variances[k] + epsilon);
  }
  for (int constant = 0; constant <= 1; constant++) {
    CHECK_OK(martlet_batch_norm_gradients(&c.x_array, -1, epsilon, MARTLET_IDENTITY, &c.scale_array, NULL, &c.mean_array,
                                          &c.variance_array, constant, &c.grad_output_array, NULL, &c.grad_input_array,
                                          &c.grad_scale_array, &c.grad_shift_array));
    for (int k = 0; k < CHANNELS; k++) {
      CHECK_CLOSE(products[k], c.grad_scale[k], 4 * tolerance);
      CHECK_CLOSE(sums[k], c.grad_shift[k], 4 * tolerance);
    }
    for (int i = 0; i < COUNT; i++) {
      const int k = i % CHANNELS;
      const double inv = 1 / sqrt(variances[k] + epsilon), normalized = (x_values[i] - means[k]) * inv;
      const double centred = constant ? c.grad_output[i] : c.grad_output[i] - sums[k] / ROWS - normalized * products[k] / ROWS;
      CHECK_CLOSE(c.scale[k] * inv * centred, c.grad_input[i], 4 * tolerance);
    }
  }
  /* Each output may be left out, all three too; scale NULL is 1. */
  CHECK_OK(martlet_batch_norm_gradients(&c.x_array, -1, epsilon, MARTLET_IDENTITY, NULL, NULL, &c.mean_array, &c.variance_array,
                                        0, &c.grad_output_array, NULL, NULL, NULL, &c.grad_shift_array));
  CHECK_OK(martlet_batch_norm_gradients(&c.x_array, -1, epsilon, MARTLET_IDENTITY, NULL, NULL, &c.mean_array, &c.variance_array,
                                        0, &c.grad_output_array, NULL, NULL, NULL, NULL));
}

/* The activation on the way out, and its derivative from y on the way back. */
static void test_activations(void) {
  call c;
  prepare(&c);
  for (int32_t activation = MARTLET_IDENTITY; activation <= MARTLET_RELU; activation++) {
    CHECK_OK(martlet_batch_norm(&c.x_array, -1, epsilon, activation, &c.scale_array, &c.shift_array, NULL, NULL, &c.y_array,
                                NULL, NULL));
    double sums[CHANNELS] = {0}, inner[COUNT];
    for (int i = 0; i < COUNT; i++) {
      const double z = expected_y(&c, i), s = 1 / (1 + exp(-z)), t = tanh(z);
      const double y = activation == MARTLET_SIGMOID ? s : activation == MARTLET_TANH ? t : z;
      const double slope = activation == MARTLET_SIGMOID ? s * (1 - s) : activation == MARTLET_TANH ? 1 - t * t : 1;
      const int is_off = activation == MARTLET_RELU && z <= 0;
      CHECK_CLOSE(is_off ? 0 : y, c.y[i], tolerance);
      inner[i] = is_off ? 0 : c.grad_output[i] * slope;
      sums[i % CHANNELS] += inner[i];
    }
    CHECK_OK(martlet_batch_norm_gradients(&c.x_array, -1, epsilon, activation, &c.scale_array, &c.shift_array, &c.mean_array,
                                          &c.variance_array, 1, &c.grad_output_array, &c.y_array, &c.grad_input_array, NULL,
                                          &c.grad_shift_array));
    for (int k = 0; k < CHANNELS; k++) CHECK_CLOSE(sums[k], c.grad_shift[k], 4 * tolerance);
    for (int i = 0; i < COUNT; i++) {
      const int k = i % CHANNELS;
      CHECK_CLOSE(c.scale[k] * inner[i] / sqrt(variances[k] + epsilon), c.grad_input[i], 4 * tolerance);
    }
    if (activation == MARTLET_IDENTITY) continue;
    if (activation == MARTLET_RELU) { /* needs no y: the same bits without it */
      float grad_input[COUNT], grad_shift[CHANNELS];
      memcpy(grad_input, c.grad_input, sizeof grad_input);
      memcpy(grad_shift, c.grad_shift, sizeof grad_shift);
      CHECK_OK(martlet_batch_norm_gradients(&c.x_array, -1, epsilon, activation, &c.scale_array, &c.shift_array, &c.mean_array,
                                            &c.variance_array, 1, &c.grad_output_array, NULL, &c.grad_input_array, NULL,
                                            &c.grad_shift_array));
      for (int i = 0; i < COUNT; i++) CHECK(grad_input[i] == c.grad_input[i]);
      for (int k = 0; k < CHANNELS; k++) CHECK(grad_shift[k] == c.grad_shift[k]);
      continue;
    }
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "y",
                martlet_batch_norm_gradients(&c.x_array, -1, epsilon, activation, NULL, NULL, &c.mean_array, &c.variance_array,
                                             0, &c.grad_output_array, NULL, &c.grad_input_array, NULL, NULL));
  }
  const int32_t unknown[] = {-1, 4, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(unknown); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "activation",
                martlet_batch_norm(&c.x_array, -1, epsilon, unknown[i], NULL, NULL, NULL, NULL, &c.y_array, NULL, NULL));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "activation",
                martlet_batch_norm_gradients(&c.x_array, -1, epsilon, unknown[i], NULL, NULL, &c.mean_array, &c.variance_array,
                                             0, &c.grad_output_array, &c.y_array, &c.grad_input_array, NULL, NULL));
  }
}

/* ---- wrong arguments: one slot at a time ---- */

enum { X, SCALE, SHIFT, MEAN, VARIANCE, Y, OUT_MEAN, OUT_VARIANCE, GRAD_OUTPUT, OUTPUT, GRAD_INPUT, GRAD_SCALE, GRAD_SHIFT };

typedef struct slot {
  call *c;
  int which;
  double out_mean[CHANNELS], out_variance[CHANNELS];
} slot;

static martlet_status forward_with(const martlet_array *argument, void *context) {
  slot *s = (slot *)context;
  call *c = s->c;
  const martlet_array out_mean = array_of(s->out_mean, MARTLET_FLOAT64, 1, vector);
  const martlet_array out_variance = array_of(s->out_variance, MARTLET_FLOAT64, 1, vector);
  const int w = s->which;
  return martlet_batch_norm(w == X ? argument : &c->x_array, -1, epsilon, MARTLET_IDENTITY,
                            w == SCALE ? argument : &c->scale_array, w == SHIFT ? argument : &c->shift_array,
                            w == MEAN ? argument : &c->mean_array, w == VARIANCE ? argument : &c->variance_array,
                            w == Y ? argument : &c->y_array, w == OUT_MEAN ? argument : &out_mean,
                            w == OUT_VARIANCE ? argument : &out_variance);
}

static martlet_status backward_with(const martlet_array *argument, void *context) {
  const slot *s = (const slot *)context;
  const call *c = s->c;
  const int w = s->which;
  return martlet_batch_norm_gradients(
      w == X ? argument : &c->x_array, -1, epsilon, MARTLET_IDENTITY, w == SCALE ? argument : &c->scale_array,
      w == SHIFT ? argument : &c->shift_array, w == MEAN ? argument : &c->mean_array,
      w == VARIANCE ? argument : &c->variance_array, 0, w == GRAD_OUTPUT ? argument : &c->grad_output_array,
      w == OUTPUT ? argument : NULL, w == GRAD_INPUT ? argument : &c->grad_input_array,
      w == GRAD_SCALE ? argument : &c->grad_scale_array, w == GRAD_SHIFT ? argument : &c->grad_shift_array);
}

/* Every malformed array, and one of the wrong length, in the place `which`. */
static void check_slot(array_call function, call *c, int which, const martlet_array *good, const char *word, int flags) {
  slot s;
  s.c = c;
  s.which = which;
  POISON(s.out_mean);
  POISON(s.out_variance);
  POISON(c->y);
  POISON(c->grad_input);
  POISON(c->grad_scale);
  POISON(c->grad_shift);
  check_array_argument(function, &s, good, word, flags);
  martlet_array wrong = *good;
  wrong.rank = 1;
  wrong.shape = wrong_vector;
  if (which != X) CHECK_FAILS(STATUS(SHAPE_MISMATCH), word, function(&wrong, &s));
  UNWATCH_ALL();
}

static void test_forward_arguments(void) {
  call c;
  prepare(&c);
  const int out64 = ARRAY_OUTPUT | ARRAY_FLOAT64_TOO | ARRAY_MAY_BE_NULL;
  check_slot(forward_with, &c, X, &c.x_array, "x", ARRAY_INPUT);
  check_slot(forward_with, &c, SCALE, &c.scale_array, "scale", ARRAY_MAY_BE_NULL);
  check_slot(forward_with, &c, SHIFT, &c.shift_array, "shift", ARRAY_MAY_BE_NULL);
  check_slot(forward_with, &c, MEAN, &c.mean_array, "mean", ARRAY_INPUT); /* NULL beside a variance is wrong too */
  check_slot(forward_with, &c, VARIANCE, &c.variance_array, "variance", ARRAY_INPUT);
  check_slot(forward_with, &c, Y, &c.y_array, "y", ARRAY_OUTPUT);
  check_slot(forward_with, &c, OUT_MEAN, &c.mean_array, "out_mean", out64);
  check_slot(forward_with, &c, OUT_VARIANCE, &c.variance_array, "out_variance", out64);
}

static void test_backward_arguments(void) {
  call c;
  prepare(&c);
  const int out = ARRAY_OUTPUT | ARRAY_MAY_BE_NULL;
  check_slot(backward_with, &c, X, &c.x_array, "x", ARRAY_INPUT);
  check_slot(backward_with, &c, SCALE, &c.scale_array, "scale", ARRAY_MAY_BE_NULL);
  check_slot(backward_with, &c, MEAN, &c.mean_array, "mean", ARRAY_INPUT);
  check_slot(backward_with, &c, VARIANCE, &c.variance_array, "variance", ARRAY_INPUT);
  check_slot(backward_with, &c, GRAD_OUTPUT, &c.grad_output_array, "grad_output", ARRAY_INPUT);
  check_slot(backward_with, &c, OUTPUT, &c.y_array, "y", ARRAY_MAY_BE_NULL);
  check_slot(backward_with, &c, GRAD_INPUT, &c.grad_input_array, "grad_input", out);
  check_slot(backward_with, &c, GRAD_SCALE, &c.grad_scale_array, "grad_scale", out);
  check_slot(backward_with, &c, GRAD_SHIFT, &c.grad_shift_array, "grad_shift", out);
}

static void test_options(void) {
  call c;
  prepare(&c);
  POISON(c.y);
  POISON(c.grad_input);
  const int32_t axes[] = {0, 2, -2, 1000, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(axes); i++) {
    CHECK_FAILS(
        BAD_SHAPE, "channel_axis",
        martlet_batch_norm(&c.x_array, axes[i], epsilon, MARTLET_IDENTITY, NULL, NULL, NULL, NULL, &c.y_array, NULL, NULL));
    CHECK_FAILS(
        BAD_SHAPE, "channel_axis",
        martlet_batch_norm_gradients(&c.x_array, axes[i], epsilon, MARTLET_IDENTITY, NULL, NULL, &c.mean_array,
                                     &c.variance_array, 0, &c.grad_output_array, NULL, &c.grad_input_array, NULL, NULL));
  }
  const double epsilons[] = {-1e-5, 0.0, (double)NAN, (double)INFINITY, -(double)INFINITY};
  for (int i = 0; i < CHECK_COUNT(epsilons); i++) {
    CHECK_FAILS(
        STATUS(INVALID_ARGUMENT), "epsilon",
        martlet_batch_norm(&c.x_array, -1, epsilons[i], MARTLET_IDENTITY, NULL, NULL, NULL, NULL, &c.y_array, NULL, NULL));
    CHECK_FAILS(
        STATUS(INVALID_ARGUMENT), "epsilon",
        martlet_batch_norm_gradients(&c.x_array, -1, epsilons[i], MARTLET_IDENTITY, NULL, NULL, &c.mean_array,
                                     &c.variance_array, 0, &c.grad_output_array, NULL, &c.grad_input_array, NULL, NULL));
  }
  const martlet_array scalar = floats_of(c.x, 0, NULL);
  CHECK_FAILS(BAD_SHAPE, NULL,
              martlet_batch_norm(&scalar, -1, epsilon, MARTLET_IDENTITY, NULL, NULL, NULL, NULL, &scalar, NULL, NULL));
  CHECK_FAILS(
      BAD_SHAPE, NULL,
      martlet_batch_norm(&c.scale_array, 1, epsilon, MARTLET_IDENTITY, NULL, NULL, NULL, NULL, &c.shift_array, NULL, NULL));
}

/* y may be x itself; any other sharing would be read after it is written. */
static void test_shared_memory(void) {
  call c;
  prepare(&c);
  float memory[COUNT + 1] = {0};
  memcpy(memory, x_values, sizeof x_values);
  const martlet_array x = floats_of(memory, 2, matrix), shifted = floats_of(memory + 1, 2, matrix);
  WATCH(memory, sizeof memory);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "y",
              martlet_batch_norm(&x, -1, epsilon, MARTLET_IDENTITY, NULL, NULL, NULL, NULL, &shifted, NULL, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "grad_input",
              martlet_batch_norm_gradients(&x, -1, epsilon, MARTLET_IDENTITY, NULL, NULL, &c.mean_array, &c.variance_array, 0,
                                           &c.grad_output_array, NULL, &shifted, NULL, NULL));
}

static const check_test tests[] = {TEST(test_own_statistics),     TEST(test_given_statistics), TEST(test_channels_first),
                                   TEST(test_empty_and_single),   TEST(test_gradients),        TEST(test_forward_arguments),
                                   TEST(test_backward_arguments), TEST(test_options),          TEST(test_shared_memory),
                                   TEST(test_activations)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
