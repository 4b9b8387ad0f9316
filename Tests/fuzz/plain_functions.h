/* plain_functions.h: random calls of the functions on arrays, for call_sequences.c. */
#ifndef PLAIN_FUNCTIONS_H
#define PLAIN_FUNCTIONS_H

#include "slots.h"

static void call_matmul(void) {
  lying_array a, b, c;
  const int64_t m = below(6), k = below(6), n = 1 + below(6);
  const martlet_array *a_array = any_array(&a, buffer, 2, m, k), *b_array = any_array(&b, buffer + 50, 2, k, n);
  if (one_in(3) && b.array.strides == NULL && b.array.shape != NULL) { /* transposed: [n, k] in memory */
    b.strides[0] = 1;
    b.strides[1] = k;
    b.array.strides = b.strides;
  }
  remember_results();
  count_writing(martlet_matmul(a_array, b_array, any_array(&c, one_in(30) ? buffer + 10 : results, 2, m, n)));
}

static void call_batch_norm(void) {
  lying_array x, scale, shift, shift_values, mean, variance, y, output, out_mean, out_variance;
  const int64_t rows = below(6), channels = 1 + below(5);
  const martlet_array *mean_array = one_in(2) ? NULL : any_array(&mean, buffer + 100, 1, channels, 1);
  const martlet_array *x_array = any_array(&x, buffer, 2, rows, channels);
  const martlet_array *scale_array = any_array(&scale, buffer + 50, 1, channels, 1);
  remember_results();
  if (one_in(2)) {
    count_writing(martlet_batch_norm(
        x_array, any_int(-1), any_number(1e-5), any_int(below(4)), scale_array, any_array(&shift, buffer + 60, 1, channels, 1),
        mean_array, mean_array == NULL ? NULL : any_array(&variance, buffer + 120, 1, channels, 1),
        any_array(&y, results, 2, rows, channels), any_array(&out_mean, results + 100, 1, channels, 1),
        any_array(&out_variance, results + 200, 1, channels, 1)));
  } else {
    count_writing(martlet_batch_norm_gradients(
        x_array, any_int(-1), any_number(1e-5), any_int(below(4)), scale_array,
        one_in(2) ? NULL : any_array(&shift_values, buffer + 60, 1, channels, 1), mean_array,
        mean_array == NULL ? NULL : any_array(&variance, buffer + 120, 1, channels, 1), any_int(below(2)),
        any_array(&shift, buffer + 200, 2, rows, channels),
        one_in(3) ? NULL : any_array(&output, buffer + 300, 2, rows, channels), any_array(&y, results, 2, rows, channels),
        any_array(&out_mean, results + 100, 1, channels, 1), any_array(&out_variance, results + 200, 1, channels, 1)));
  }
}

/* A kind of normalization with right and wrong fields. */
static martlet_normalization_options any_normalization(void) {
  const martlet_normalization_options kinds[5] = {MARTLET_LAYER_NORM_INIT, MARTLET_RMS_NORM_INIT, MARTLET_GROUP_NORM_INIT(1),
                                                  MARTLET_INSTANCE_NORM_INIT, MARTLET_FILTER_RESPONSE_NORM_INIT};
  martlet_normalization_options norm = kinds[below(5)];
  if (one_in(20)) norm.struct_size = (size_t)below(60);
  norm.kind = any_int(norm.kind);
  norm.epsilon = any_number(norm.epsilon);
  if (one_in(3)) norm.groups = any_size(1 + below(3));
  if (one_in(3)) norm.over = any_int(below(2));
  norm.scale = any_int(below(2));
  if (one_in(3)) norm.shift = any_int(below(2));
  if (one_in(3)) norm.threshold = any_int(below(2));
  if (one_in(3)) norm.learn_epsilon = any_int(below(2));
  return norm;
}

static void call_normalize(void) {
  lying_array x, y, output, numbers[4], gradients[4];
  const martlet_array *number[4], *gradient[4];
  const int64_t rows = below(6), channels = 1 + below(5);
  const martlet_normalization_options norm = any_normalization();
  const martlet_normalization_options *options = one_in(30) ? NULL : &norm;
  for (int i = 0; i < 4; i++) {
    number[i] = one_in(i < 2 ? 2 : 5) ? any_array(&numbers[i], buffer + 40 + 10 * i, 1, channels, 1) : NULL;
    gradient[i] = one_in(i < 2 ? 2 : 5) ? any_array(&gradients[i], results + 100 + 10 * i, 1, channels, 1) : NULL;
  }
  const martlet_array *x_array = any_array(&x, buffer, 2, rows, channels);
  const martlet_array *y_array = any_array(&y, results, 2, rows, channels);
  remember_results();
  if (one_in(2)) {
    count_writing(martlet_normalize(options, x_array, number[0], number[1], number[2], number[3], y_array));
  } else {
    count_writing(martlet_normalize_gradients(options, x_array, number[0], number[1], number[2], number[3],
                                              any_array(&output, buffer + 200, 2, rows, channels), one_in(3) ? NULL : y_array,
                                              gradient[0], gradient[1], gradient[2], gradient[3]));
  }
}

/* A size of a window, a stride, a pad: small, or one that must be refused. */
static int64_t any_extent(int64_t right) {
  static const int64_t odd[] = {0, -1, 100, INT64_MIN, INT64_MAX, (int64_t)1 << 31, (int64_t)1 << 62};
  return one_in(30) ? odd[below(CHECK_COUNT(odd))] : right;
}

static void call_convolution(void) {
  lying_array x, weight, bias, y, grad_input, grad_weight, grad_bias;
  martlet_convolution_options options = MARTLET_CONVOLUTION_OPTIONS_INIT;
  const int64_t groups = one_in(3) ? 1 + below(3) : 1, filters = groups * (1 + below(3));
  const int64_t x_shape[4] = {below(4), 2 + below(5), 2 + below(5), groups * (1 + below(2))};
  const int64_t weight_shape[4] = {filters, x_shape[3] / groups, 1 + below(3), 1 + below(3)};
  int64_t y_shape[4] = {x_shape[0], 2, 2, filters}, lied[4];
  for (int axis = 0; axis < 2; axis++) {
    options.strides[axis] = any_extent(1 + below(2));
    options.dilation[axis] = any_extent(one_in(4) ? 2 : 1);
  }
  options.groups = any_extent(groups);
  options.padding = any_int(below(3));
  options.algorithm = one_in(3) ? any_int(below(3)) : MARTLET_CONVOLUTION_AUTOMATIC;
  options.bias = any_int(1);
  options.weight_initializer.kind = any_int(0);
  if (one_in(50)) options.reserved = any_int(1);
  if (one_in(30)) options.struct_size = (size_t)below((int)sizeof options);
  for (int side = 0; side < 4; side++) {
    if (options.padding == MARTLET_PADDING_EXPLICIT || one_in(60)) options.pads[side] = any_extent(below(3));
  }
  const martlet_convolution_options *given = one_in(4) ? NULL : &options;

  /* The shape of y: asked with the right shapes, and with some that are not. */
  int64_t asked[4] = {7, 7, 7, 7};
  const martlet_status status = martlet_convolution_shape(asked, x_shape, weight_shape, given);
  count_status(status);
  int64_t count = 1;
  for (int axis = 0; axis < 4; axis++) {
    if (status != MARTLET_OK && asked[axis] != 7) abort();
    count = asked[axis] > BUFFER || count > BUFFER ? BUFFER + 1 : count * asked[axis];
  }
  if (status == MARTLET_OK && count <= BUFFER / 2) memcpy(y_shape, asked, sizeof y_shape);
  memcpy(lied, one_in(2) ? x_shape : weight_shape, sizeof lied);
  lied[below(4)] = one_in(2) ? impossible_size() : any_extent(below(4));
  count_status(martlet_convolution_shape(one_in(20) ? NULL : asked,
                                         one_in(20)  ? NULL
                                         : one_in(2) ? lied
                                                     : x_shape,
                                         one_in(20)  ? NULL
                                         : one_in(2) ? lied
                                                     : weight_shape,
                                         given));

  const martlet_array *x_array = any_array_of(&x, buffer, 4, x_shape, 0);
  const martlet_array *weight_array = any_array_of(&weight, buffer + 1000, 4, weight_shape, 0);
  /* Results on their own memory, or on an input's or another's. */
  float *const shared = one_in(30) ? buffer + 10 : one_in(30) ? results + 10 : NULL;
  remember_results();
  if (one_in(2)) {
    count_writing(martlet_convolution(x_array, weight_array, one_in(2) ? NULL : any_array(&bias, buffer + 1500, 1, filters, 1),
                                      given, any_array_of(&y, shared != NULL ? shared : results, 4, y_shape, 0)));
  } else {
    count_writing(martlet_convolution_gradients(
        x_array, weight_array, given, any_array_of(&y, buffer + 1600, 4, y_shape, 0),
        one_in(4) ? NULL : any_array_of(&grad_input, shared != NULL ? shared : results, 4, x_shape, 0),
        one_in(4) ? NULL : any_array_of(&grad_weight, results + 1000, 4, weight_shape, 0),
        one_in(4) ? NULL : any_array(&grad_bias, shared != NULL ? shared + 990 : results + 1500, 1, filters, 1)));
  }
}

#endif /* PLAIN_FUNCTIONS_H */
