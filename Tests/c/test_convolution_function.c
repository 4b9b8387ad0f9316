/* martlet_convolution and martlet_convolution_gradients as plain functions on arrays. */
#include "arrays.h"
#include "golden.h"
#include "tolerance.h"

#include <string.h>

/* ---- against PyTorch ---- */

static void check_golden(const golden_file *file, const char *prefix) {
  golden_record *x = golden_get(file, prefix, "x", ""), *weight = golden_get(file, prefix, "weight", "");
  golden_record *bias = golden_find(file, prefix, "bias", ""), *dy = golden_get(file, prefix, "grad_output", "");
  martlet_convolution_options options = MARTLET_CONVOLUTION_OPTIONS_INIT;
  golden_numbers(file, prefix, "strides", options.strides);
  golden_numbers(file, prefix, "dilation", options.dilation);
  golden_numbers(file, prefix, "pads", options.pads);
  golden_numbers(file, prefix, "groups", &options.groups);
  options.padding = MARTLET_PADDING_EXPLICIT;
  int64_t shape[4];
  CHECK_OK(martlet_convolution_shape(shape, x->shape, weight->shape, &options));
  for (int axis = 0; axis < 4; axis++) CHECK_INT(dy->shape[axis], shape[axis]);

  const martlet_array x_array = golden_array(x), weight_array = golden_array(weight), dy_array = golden_array(dy);
  martlet_array bias_array;
  if (bias != NULL) bias_array = golden_array(bias);
  static float y[4096], grad_input[4096], grad_weight[4096], grad_bias[64];
  CHECK(dy->count <= 4096 && x->count <= 4096 && weight->count <= 4096 && weight->shape[0] <= 64);
  const martlet_array y_array = floats_of(y, 4, shape), grad_bias_array = floats_of(grad_bias, 1, weight->shape);
  const martlet_array grad_input_array = floats_of(grad_input, 4, x->shape);
  const martlet_array grad_weight_array = floats_of(grad_weight, 4, weight->shape);
  const double kernel = (double)(weight->shape[2] * weight->shape[3]);
  const double inputs = kernel * (double)weight->shape[1], outputs = kernel * (double)weight->shape[0];
  const double positions = (double)(dy->shape[0] * dy->shape[1] * dy->shape[2]);
  const double xs = golden_largest(x), ws = golden_largest(weight), dys = golden_largest(dy);
  const double bs = bias == NULL ? 0 : golden_largest(bias);
  CHECK_OK(martlet_convolution(&x_array, &weight_array, bias == NULL ? NULL : &bias_array, &options, &y_array));
  CHECK_GOLDEN(golden_get(file, prefix, "y", ""), y, sum_tolerance(inputs, inputs * xs * ws + bs));
  CHECK_OK(martlet_convolution_gradients(&x_array, &weight_array, &options, &dy_array, &grad_input_array, &grad_weight_array,
                                         &grad_bias_array));
  CHECK_GOLDEN(golden_get(file, prefix, "grad_input", ""), grad_input, sum_tolerance(outputs, outputs * dys * ws));
  CHECK_GOLDEN(golden_get(file, prefix, "grad_weight", ""), grad_weight, sum_tolerance(positions, positions * dys * xs));
  if (bias != NULL) {
    CHECK_GOLDEN(golden_get(file, prefix, "grad_bias", ""), grad_bias, sum_tolerance(positions, positions * dys));
  }
}

static void test_goldens(void) {
  static const char *const cases[] = {
      "point/",   "valid/",           "around/", "uneven/",    "strided/",           "stem/",  "skipping/",
      "dilated/", "dilated_strided/", "groups/", "depthwise/", "depthwise_strided/", "tails/", "padding_alone/"};
  golden_file file = golden_read("convolution");
  for (int i = 0; i < CHECK_COUNT(cases); i++) check_golden(&file, cases[i]);
  golden_free(&file);
}

/* ---- a small one, exactly ---- */

enum { N = 2, SIDE = 3, IN = 2, FILTERS = 3, KERNEL = 2, OUT = SIDE - KERNEL + 1 };
enum { X_COUNT = N * SIDE * SIDE * IN, WEIGHT_COUNT = FILTERS * IN * KERNEL * KERNEL, Y_COUNT = N * OUT * OUT * FILTERS };
static const int64_t x_shape[4] = {N, SIDE, SIDE, IN}, weight_shape[4] = {FILTERS, IN, KERNEL, KERNEL};
static const int64_t y_shape[4] = {N, OUT, OUT, FILTERS}, vector[1] = {FILTERS}, wrong_vector[1] = {FILTERS + 1};

/* Everything a call needs, of small whole numbers: sums of them are exact. The tests replace one field. */
typedef struct call {
  float x[X_COUNT], weight[WEIGHT_COUNT], bias[FILTERS], y[Y_COUNT], grad_output[Y_COUNT];
  float grad_input[X_COUNT], grad_weight[WEIGHT_COUNT], grad_bias[FILTERS];
  martlet_array x_array, weight_array, bias_array, y_array, grad_output_array;
  martlet_array grad_input_array, grad_weight_array, grad_bias_array;
} call;

static void fill(float *values, int count, int seed) {
  for (int i = 0; i < count; i++) values[i] = (float)((i * 7 + seed) % 11 - 5);
}

static void prepare(call *c) {
  memset(c, 0, sizeof *c);
  fill(c->x, X_COUNT, 1);
  fill(c->weight, WEIGHT_COUNT, 2);
  fill(c->bias, FILTERS, 3);
  fill(c->grad_output, Y_COUNT, 4);
  c->x_array = floats_of(c->x, 4, x_shape);
  c->weight_array = floats_of(c->weight, 4, weight_shape);
  c->bias_array = floats_of(c->bias, 1, vector);
  c->y_array = floats_of(c->y, 4, y_shape);
  c->grad_output_array = floats_of(c->grad_output, 4, y_shape);
  c->grad_input_array = floats_of(c->grad_input, 4, x_shape);
  c->grad_weight_array = floats_of(c->grad_weight, 4, weight_shape);
  c->grad_bias_array = floats_of(c->grad_bias, 1, vector);
}

typedef struct answers {
  double y[Y_COUNT], grad_input[X_COUNT], grad_weight[WEIGHT_COUNT], grad_bias[FILTERS];
} answers;

/* The definition and its gradients, product by product. */
static void compute(const call *c, answers *want) {
  memset(want, 0, sizeof *want);
  for (int out = 0; out < Y_COUNT; out++) {
    const int o = out % FILTERS, column = out / FILTERS % OUT, row = out / (FILTERS * OUT) % OUT;
    const int n = out / (FILTERS * OUT * OUT);
    const double dy = c->grad_output[out];
    want->y[out] = c->bias[o];
    want->grad_bias[o] += dy;
    for (int i = 0; i < KERNEL; i++) {
      for (int j = 0; j < KERNEL; j++) {
        for (int k = 0; k < IN; k++) {
          const int x = ((n * SIDE + row + i) * SIDE + column + j) * IN + k, w = ((o * IN + k) * KERNEL + i) * KERNEL + j;
          want->y[out] += (double)c->x[x] * c->weight[w];
          want->grad_input[x] += dy * c->weight[w];
          want->grad_weight[w] += dy * c->x[x];
        }
      }
    }
  }
}

static void check_values(const double *want, const float *found, int count) {
  for (int i = 0; i < count; i++) CHECK_CLOSE(want[i], found[i], 0);
}

static void test_exact_answers(void) {
  call c;
  answers want;
  prepare(&c);
  compute(&c, &want);
  CHECK_OK(martlet_convolution(&c.x_array, &c.weight_array, &c.bias_array, NULL, &c.y_array));
  check_values(want.y, c.y, Y_COUNT);
  CHECK_OK(martlet_convolution_gradients(&c.x_array, &c.weight_array, NULL, &c.grad_output_array, &c.grad_input_array,
                                         &c.grad_weight_array, &c.grad_bias_array));
  check_values(want.grad_input, c.grad_input, X_COUNT);
  check_values(want.grad_weight, c.grad_weight, WEIGHT_COUNT);
  check_values(want.grad_bias, c.grad_bias, FILTERS);

  /* The layer's own options do not count; without a bias it is 0. */
  martlet_convolution_options options = MARTLET_CONVOLUTION_OPTIONS_INIT;
  options.bias = 7;
  options.weight_initializer.kind = -1;
  CHECK_OK(martlet_convolution(&c.x_array, &c.weight_array, NULL, &options, &c.y_array));
  for (int i = 0; i < Y_COUNT; i++) CHECK_CLOSE(want.y[i] - c.bias[i % FILTERS], c.y[i], 0);

  /* Each gradient alone, and none. */
  memset(c.grad_input, 0, sizeof c.grad_input);
  memset(c.grad_weight, 0, sizeof c.grad_weight);
  memset(c.grad_bias, 0, sizeof c.grad_bias);
  for (int i = 0; i < 4; i++) {
    CHECK_OK(martlet_convolution_gradients(&c.x_array, &c.weight_array, NULL, &c.grad_output_array,
                                           i == 0 ? &c.grad_input_array : NULL, i == 1 ? &c.grad_weight_array : NULL,
                                           i == 2 ? &c.grad_bias_array : NULL));
  }
  check_values(want.grad_input, c.grad_input, X_COUNT);
  check_values(want.grad_weight, c.grad_weight, WEIGHT_COUNT);
  check_values(want.grad_bias, c.grad_bias, FILTERS);
}

/* Integers, doubles and channels first (strides) come in as they are. */
static void test_other_memory(void) {
  call c;
  answers want;
  prepare(&c);
  compute(&c, &want);
  float first[X_COUNT];
  double weight[WEIGHT_COUNT];
  int32_t bias[FILTERS];
  for (int i = 0; i < X_COUNT; i++) {
    const int channel = i % IN, position = i / IN % (SIDE * SIDE), n = i / (IN * SIDE * SIDE);
    first[(n * IN + channel) * SIDE * SIDE + position] = c.x[i];
  }
  for (int i = 0; i < WEIGHT_COUNT; i++) weight[i] = c.weight[i];
  for (int i = 0; i < FILTERS; i++) bias[i] = (int32_t)c.bias[i];
  const int64_t strides[4] = {IN * SIDE * SIDE, SIDE, 1, SIDE * SIDE};
  martlet_array x = floats_of(first, 4, x_shape);
  x.strides = strides;
  const martlet_array weight_array = array_of(weight, MARTLET_FLOAT64, 4, weight_shape);
  const martlet_array bias_array = array_of(bias, MARTLET_INT32, 1, vector);
  CHECK_OK(martlet_convolution(&x, &weight_array, &bias_array, NULL, &c.y_array));
  check_values(want.y, c.y, Y_COUNT);
  CHECK_OK(martlet_convolution_gradients(&x, &weight_array, NULL, &c.grad_output_array, &c.grad_input_array,
                                         &c.grad_weight_array, NULL));
  check_values(want.grad_input, c.grad_input, X_COUNT);
  check_values(want.grad_weight, c.grad_weight, WEIGHT_COUNT);
}

static void test_no_images(void) {
  call c;
  prepare(&c);
  const int64_t no_x[4] = {0, SIDE, SIDE, IN}, no_y[4] = {0, OUT, OUT, FILTERS};
  const martlet_array x = floats_of(NULL, 4, no_x), y = floats_of(NULL, 4, no_y);
  int64_t shape[4];
  CHECK_OK(martlet_convolution_shape(shape, no_x, weight_shape, NULL));
  for (int axis = 0; axis < 4; axis++) CHECK_INT(no_y[axis], shape[axis]);
  CHECK_OK(martlet_convolution(&x, &c.weight_array, NULL, NULL, &y));
  memset(c.grad_weight, 1, sizeof c.grad_weight);
  memset(c.grad_bias, 1, sizeof c.grad_bias);
  CHECK_OK(martlet_convolution_gradients(&x, &c.weight_array, NULL, &y, &x, &c.grad_weight_array, &c.grad_bias_array));
  for (int i = 0; i < WEIGHT_COUNT; i++) CHECK_CLOSE(0, c.grad_weight[i], 0);
  for (int i = 0; i < FILTERS; i++) CHECK_CLOSE(0, c.grad_bias[i], 0);
}

/* ---- wrong arguments: one slot at a time ---- */

enum { X, WEIGHT, BIAS, Y, GRAD_OUTPUT, GRAD_INPUT, GRAD_WEIGHT, GRAD_BIAS };

typedef struct slot {
  call *c;
  int which;
} slot;

static martlet_status forward_with(const martlet_array *argument, void *context) {
  const slot *s = (const slot *)context;
  const call *c = s->c;
  const int w = s->which;
  return martlet_convolution(w == X ? argument : &c->x_array, w == WEIGHT ? argument : &c->weight_array,
                             w == BIAS ? argument : &c->bias_array, NULL, w == Y ? argument : &c->y_array);
}

static martlet_status backward_with(const martlet_array *argument, void *context) {
  const slot *s = (const slot *)context;
  const call *c = s->c;
  const int w = s->which;
  return martlet_convolution_gradients(
      w == X ? argument : &c->x_array, w == WEIGHT ? argument : &c->weight_array, NULL,
      w == GRAD_OUTPUT ? argument : &c->grad_output_array, w == GRAD_INPUT ? argument : &c->grad_input_array,
      w == GRAD_WEIGHT ? argument : &c->grad_weight_array, w == GRAD_BIAS ? argument : &c->grad_bias_array);
}

/* Every malformed array, and one of the wrong length, in the place `which`. */
static void check_slot(array_call function, call *c, int which, const martlet_array *good, const char *word, int flags) {
  slot s;
  s.c = c;
  s.which = which;
  POISON(c->y);
  POISON(c->grad_input);
  POISON(c->grad_weight);
  POISON(c->grad_bias);
  check_array_argument(function, &s, good, word, flags);
  martlet_array wrong = *good;
  wrong.rank = 1;
  wrong.shape = wrong_vector;
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), word, function(&wrong, &s));
  UNWATCH_ALL();
}

static void test_arguments(void) {
  call c;
  prepare(&c);
  const int out = ARRAY_OUTPUT | ARRAY_MAY_BE_NULL;
  check_slot(forward_with, &c, X, &c.x_array, "x", ARRAY_INPUT);
  check_slot(forward_with, &c, WEIGHT, &c.weight_array, "weight", ARRAY_INPUT);
  check_slot(forward_with, &c, BIAS, &c.bias_array, "bias", ARRAY_MAY_BE_NULL);
  check_slot(forward_with, &c, Y, &c.y_array, "y", ARRAY_OUTPUT);
  check_slot(backward_with, &c, X, &c.x_array, "x", ARRAY_INPUT);
  check_slot(backward_with, &c, WEIGHT, &c.weight_array, "weight", ARRAY_INPUT);
  check_slot(backward_with, &c, GRAD_OUTPUT, &c.grad_output_array, "grad_output", ARRAY_INPUT);
  check_slot(backward_with, &c, GRAD_INPUT, &c.grad_input_array, "grad_input", out);
  check_slot(backward_with, &c, GRAD_WEIGHT, &c.grad_weight_array, "grad_weight", out);
  check_slot(backward_with, &c, GRAD_BIAS, &c.grad_bias_array, "grad_bias", out);
}

static void refuse_options(const martlet_convolution_options *options, unsigned statuses, const char *word) {
  call c;
  prepare(&c);
  int64_t shape[4] = {-1, -1, -1, -1};
  POISON(c.y);
  POISON(c.grad_input);
  WATCH(shape, sizeof shape);
  CHECK_FAILS(statuses, word, martlet_convolution_shape(shape, x_shape, weight_shape, options));
  CHECK_FAILS(statuses, word, martlet_convolution(&c.x_array, &c.weight_array, NULL, options, &c.y_array));
  CHECK_FAILS(statuses, word,
              martlet_convolution_gradients(&c.x_array, &c.weight_array, options, &c.grad_output_array, &c.grad_input_array,
                                            NULL, NULL));
  UNWATCH_ALL();
}

static void test_options(void) {
  const martlet_convolution_options good = MARTLET_CONVOLUTION_OPTIONS_INIT;
  const unsigned invalid = STATUS(INVALID_ARGUMENT);
  martlet_convolution_options options = good;
  options.struct_size = 0;
  refuse_options(&options, invalid, "struct_size");
  options.struct_size = sizeof options - 1;
  refuse_options(&options, invalid, "struct_size");
  const int64_t sizes[] = {0, -1, INT64_MIN, INT64_MAX};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    for (int axis = 0; axis < 2; axis++) {
      options = good;
      options.strides[axis] = sizes[i];
      refuse_options(&options, invalid, "strides");
      options = good;
      options.dilation[axis] = sizes[i];
      refuse_options(&options, invalid, "dilation");
    }
    options = good;
    options.groups = sizes[i];
    refuse_options(&options, sizes[i] < 1 ? invalid : STATUS(SHAPE_MISMATCH), "groups");
    if (sizes[i] == 0) continue;
    for (int side = 0; side < 4; side++) {
      options = good;
      options.padding = MARTLET_PADDING_EXPLICIT;
      options.pads[side] = sizes[i];
      refuse_options(&options, invalid, "padding");
      options.padding = MARTLET_PADDING_SAME;
      refuse_options(&options, invalid, "options.pads");
    }
  }
  options = good;
  options.groups = 2; /* divides the channels, not the filters */
  refuse_options(&options, STATUS(SHAPE_MISMATCH), "groups");
  const int32_t unknown[] = {-1, 3, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(unknown); i++) {
    options = good;
    options.padding = unknown[i];
    refuse_options(&options, invalid, "options.padding");
    options = good;
    options.algorithm = unknown[i];
    refuse_options(&options, invalid, "options.algorithm");
    options = good;
    options.reserved = unknown[i];
    refuse_options(&options, invalid, "options.reserved");
  }
  options = good;
  options.algorithm = MARTLET_CONVOLUTION_WINOGRAD; /* the kernel is 2 x 2 */
  refuse_options(&options, invalid, "winograd");
  options = good;
  options.dilation[0] = SIDE; /* the window spans more than the image */
  refuse_options(&options, STATUS(SHAPE_MISMATCH), "height");
}

static void test_shapes(void) {
  int64_t shape[4] = {-1, -1, -1, -1};
  WATCH(shape, sizeof shape);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out_shape", martlet_convolution_shape(NULL, x_shape, weight_shape, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "x_shape", martlet_convolution_shape(shape, NULL, weight_shape, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "weight_shape", martlet_convolution_shape(shape, x_shape, NULL, NULL));
  const int64_t dimensions[] = {-1, INT64_MIN, INT64_MAX, (int64_t)1 << 61};
  for (int i = 0; i < CHECK_COUNT(dimensions); i++) {
    for (int axis = 0; axis < 4; axis++) {
      int64_t wrong[4];
      memcpy(wrong, x_shape, sizeof wrong);
      wrong[axis] = dimensions[i];
      CHECK_FAILS(STATUS(SHAPE_MISMATCH), "x", martlet_convolution_shape(shape, wrong, weight_shape, NULL));
      memcpy(wrong, weight_shape, sizeof wrong);
      wrong[axis] = dimensions[i];
      CHECK_FAILS(STATUS(SHAPE_MISMATCH), "weight", martlet_convolution_shape(shape, x_shape, wrong, NULL));
    }
  }
  const int64_t other_channels[4] = {FILTERS, IN + 1, KERNEL, KERNEL};
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "weight", martlet_convolution_shape(shape, x_shape, other_channels, NULL));
}

/* Results share memory with nothing. */
static void test_shared_memory(void) {
  call c;
  prepare(&c);
  const unsigned invalid = STATUS(INVALID_ARGUMENT);
  const martlet_array on_x = floats_of(c.x + 1, 4, y_shape), on_weight = floats_of(c.weight, 4, y_shape);
  const martlet_array bias_on_y = floats_of(c.y, 1, vector), bias_on_grad = floats_of(c.grad_weight, 1, vector);
  WATCH(&c, sizeof c);
  CHECK_FAILS(invalid, "y shares", martlet_convolution(&c.x_array, &c.weight_array, NULL, NULL, &on_x));
  CHECK_FAILS(invalid, "y shares", martlet_convolution(&c.x_array, &c.weight_array, NULL, NULL, &on_weight));
  CHECK_FAILS(invalid, "y shares", martlet_convolution(&c.x_array, &c.weight_array, &bias_on_y, NULL, &c.y_array));
  CHECK_FAILS(invalid, "grad_input shares",
              martlet_convolution_gradients(&c.x_array, &c.weight_array, NULL, &c.grad_output_array, &c.x_array, NULL, NULL));
  CHECK_FAILS(
      invalid, "grad_weight shares",
      martlet_convolution_gradients(&c.x_array, &c.weight_array, NULL, &c.grad_output_array, NULL, &c.weight_array, NULL));
  CHECK_FAILS(invalid, "grad_bias shares",
              martlet_convolution_gradients(&c.x_array, &c.weight_array, NULL, &c.grad_output_array, NULL, &c.grad_weight_array,
                                            &bias_on_grad));
}

static const check_test tests[] = {TEST(test_goldens),   TEST(test_exact_answers), TEST(test_other_memory),
                                   TEST(test_no_images), TEST(test_arguments),     TEST(test_options),
                                   TEST(test_shapes),    TEST(test_shared_memory)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
