/* Batch norm's options beyond the plain layer: how the moving statistics weigh batches, batches that are too small, virtual batches,
 * renormalisation, weights. */
#include "golden.h"
#include "models.h"
#include "tolerance.h"

enum { ROWS = 4, CHANNELS = 3 };

/* in (3) -> norm, with these options. */
static martlet_model *model_of(const martlet_batch_norm_options *options) {
  static const int64_t shape[1] = {CHANNELS};
  martlet_graph *graph = NULL;
  martlet_node input = -1, output = -1;
  martlet_model *model = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, shape, &input));
  CHECK_OK(martlet_graph_batch_norm(graph, "norm", input, options, &output));
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 0));
  martlet_graph_destroy(graph);
  return model;
}

static float number_of(const martlet_model *model, const char *name, int place) {
  const martlet_tensor_info info = tensor_named(model, name);
  return info.value.data == NULL ? 0 : ((const float *)info.value.data)[place];
}

static int64_t counter_of(const martlet_model *model, const char *name) {
  const martlet_tensor_info info = tensor_named(model, name);
  return info.value.data == NULL ? -1 : *(const int64_t *)info.value.data;
}

static double mean_of(const float *x, int rows, int channel) {
  double sum = 0;
  for (int row = 0; row < rows; row++) sum += x[row * CHANNELS + channel];
  return sum / rows;
}

/* After n batches of mean m_j: sum momentum^(n-j) m_j / sum momentum^(n-j). */
static void test_debiased(void) {
  martlet_batch_norm_options options = MARTLET_BATCH_NORM_OPTIONS_INIT;
  options.debiased = 1;
  martlet_model *model = model_of(&options);
  double sums[CHANNELS] = {0}, total = 0;
  for (uint32_t batch = 0; batch < 5; batch++) {
    float x[ROWS * CHANNELS];
    const int64_t shape[2] = {ROWS, CHANNELS};
    fill(x, ROWS * CHANNELS, batch);
    const martlet_array array = floats_of(x, 2, shape);
    CHECK_OK(martlet_model_forward(model, &array, 1, 1));
    total = 0.9 * total + 1;
    for (int c = 0; c < CHANNELS; c++) {
      sums[c] = 0.9 * sums[c] + mean_of(x, ROWS, c);
      CHECK_CLOSE(sums[c] / total, number_of(model, "norm.running_mean", c), rounding_tolerance(8, 1));
    }
  }
  CHECK_INT(5, counter_of(model, "norm.num_batches_tracked"));
  martlet_model_destroy(model);
}

static void test_single_value(void) {
  float x[CHANNELS] = {0.5f, -1, 3}, grad[CHANNELS] = {1, 2, -1};
  const int64_t shape[2] = {1, CHANNELS};
  const martlet_array array = floats_of(x, 2, shape), gradient = floats_of(grad, 2, shape);
  for (int32_t policy = MARTLET_SINGLE_VALUE_ERROR; policy <= MARTLET_SINGLE_VALUE_SKIP; policy++) {
    martlet_batch_norm_options options = MARTLET_BATCH_NORM_OPTIONS_INIT;
    options.single_value = policy;
    martlet_model *model = model_of(&options);
    if (policy == MARTLET_SINGLE_VALUE_ERROR) {
      watch_model(model);
      CHECK_FAILS(STATUS(INVALID_ARGUMENT), "single_value", martlet_model_forward(model, &array, 1, 1));
      UNWATCH_ALL();
      martlet_model_destroy(model);
      continue;
    }
    CHECK_OK(martlet_model_forward(model, &array, 1, 1));
    CHECK_OK(martlet_model_backward(model, &gradient, 1, 0));
    martlet_view y, dx;
    CHECK_OK(martlet_model_output(model, 0, &y));
    CHECK_OK(martlet_model_input_gradient(model, 0, &dx));
    const martlet_tensor_info scale = tensor_named(model, "norm.weight");
    for (int c = 0; c < CHANNELS; c++) { /* mean 0, variance 1 */
      const double inverse = 1 / sqrt(1 + 1e-5);
      CHECK_CLOSE(x[c] * inverse, ((const float *)y.data)[c], rounding_tolerance(4, 4));
      CHECK_CLOSE(grad[c] * inverse, ((const float *)dx.data)[c], rounding_tolerance(4, 4));
      CHECK_CLOSE(policy == MARTLET_SINGLE_VALUE_SKIP ? 0 : x[c] * grad[c] * inverse, ((const float *)scale.gradient)[c],
                  rounding_tolerance(4, 4));
      CHECK(number_of(model, "norm.running_mean", c) == 0 && number_of(model, "norm.running_var", c) == 1);
    }
    CHECK_INT(0, counter_of(model, "norm.num_batches_tracked"));
    CHECK_INT(1, counter_of(model, "norm.num_batches_skipped"));
    martlet_model_destroy(model);
  }
}

static void test_option_errors(void) {
  static const int64_t shape[1] = {CHANNELS};
  martlet_graph *graph = NULL;
  martlet_node input = -1, out;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, shape, &input));
  POISON(out);
  const martlet_batch_norm_options defaults = MARTLET_BATCH_NORM_OPTIONS_INIT;
  martlet_batch_norm_options options = defaults;
  CHECK(defaults.renormalization.enabled == 0 && defaults.renormalization.r_max == 3 && defaults.renormalization.d_max == 5);
  const int64_t sizes[] = {-1, 1, INT64_MIN};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    options.virtual_batch_size = sizes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "virtual_batch_size", martlet_graph_batch_norm(graph, "a", input, &options, &out));
  }
  const double numbers[] = {-1, (double)NAN, (double)INFINITY};
  for (int i = 0; i < CHECK_COUNT(numbers); i++) {
    options = defaults;
    options.renormalization.r_max = numbers[i];
    UNWATCH_ALL();
    CHECK_OK(martlet_graph_batch_norm(graph, NULL, input, &options, &out)); /* not enabled: not looked at */
    POISON(out);
    options.renormalization.enabled = 1;
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "r_max", martlet_graph_batch_norm(graph, "a", input, &options, &out));
    options.renormalization.r_max = 2;
    options.renormalization.d_max = numbers[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "d_max", martlet_graph_batch_norm(graph, "a", input, &options, &out));
  }
  options = defaults;
  options.renormalization.enabled = 2;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "enabled", martlet_graph_batch_norm(graph, "a", input, &options, &out));
  const int64_t ramps[][2] = {{-1, 2}, {3, 2}, {INT64_MIN, INT64_MAX}, {INT64_MAX, INT64_MIN}};
  for (int i = 0; i < CHECK_COUNT(ramps); i++) {
    options = defaults;
    options.renormalization.enabled = 1;
    options.renormalization.r_ramp_begin = ramps[i][0];
    options.renormalization.r_ramp_end = ramps[i][1];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "r_ramp", martlet_graph_batch_norm(graph, "a", input, &options, &out));
    options.renormalization = defaults.renormalization;
    options.renormalization.enabled = 1;
    options.renormalization.d_ramp_begin = ramps[i][0];
    options.renormalization.d_ramp_end = ramps[i][1];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "d_ramp", martlet_graph_batch_norm(graph, "a", input, &options, &out));
  }
  const martlet_node nodes[] = {-1, 99, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(nodes); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "node", martlet_graph_weighted_batch_norm(graph, "a", input, nodes[i], NULL, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "node", martlet_graph_weighted_batch_norm(graph, "a", nodes[i], input, NULL, &out));
  }
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "weights", martlet_graph_weighted_batch_norm(graph, "a", input, input, NULL, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_weighted_batch_norm(NULL, "a", input, input, NULL, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_weighted_batch_norm(graph, "a", input, input, NULL, NULL));
  UNWATCH_ALL();
  martlet_graph_destroy(graph);
}

static void set_tensor(martlet_model *model, const golden_file *file, const char *prefix, const char *name,
                       const char *record) {
  const martlet_array value = golden_array(golden_get(file, prefix, record, ""));
  CHECK_OK(martlet_model_set_tensors(model, &name, &value, 1, 0));
}

/* One training step of a case of batch_norm_variants.golden. */
static void check_case(const golden_file *file, const char *prefix) {
  golden_record *x = golden_get(file, prefix, "x", ""), *weights = golden_find(file, prefix, "weights", "");
  martlet_batch_norm_options options = MARTLET_BATCH_NORM_OPTIONS_INIT;
  martlet_graph *graph = NULL;
  martlet_model *model = NULL;
  martlet_node inputs[2] = {-1, -1}, output = -1;
  martlet_array arrays[2];
  const int32_t count = weights == NULL ? 1 : 2;
  const int is_corrected = golden_find(file, prefix, "r_max", "") != NULL;
  if (golden_find(file, prefix, "virtual_batch_size", "") != NULL)
    options.virtual_batch_size = (int64_t)golden_number(file, prefix, "virtual_batch_size");
  if (is_corrected) {
    options.renormalization.enabled = 1;
    options.renormalization.r_max = golden_number(file, prefix, "r_max");
    options.renormalization.d_max = golden_number(file, prefix, "d_max");
    options.renormalization.r_ramp_begin = options.renormalization.r_ramp_end = 0;
    options.renormalization.d_ramp_begin = options.renormalization.d_ramp_end = 0;
  }
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", x->rank - 1, x->shape + 1, &inputs[0]));
  arrays[0] = golden_array(x);
  if (weights == NULL) {
    CHECK_OK(martlet_graph_batch_norm(graph, "n", inputs[0], &options, &output));
  } else {
    options.biased_moving_variance = 1;
    arrays[1] = golden_array(weights);
    CHECK_OK(martlet_graph_input(graph, "weights", weights->rank - 1, weights->shape + 1, &inputs[1]));
    CHECK_OK(martlet_graph_weighted_batch_norm(graph, "n", inputs[0], inputs[1], &options, &output));
  }
  CHECK_OK(martlet_model_create(&model, graph, inputs, count, &output, 1, 0));
  martlet_graph_destroy(graph);
  set_tensor(model, file, prefix, "n.weight", "scale");
  set_tensor(model, file, prefix, "n.bias", "shift");
  set_tensor(model, file, prefix, "n.running_mean", "moving_mean_0");
  set_tensor(model, file, prefix, "n.running_var", "moving_variance_0");

  const golden_record *y = golden_get(file, prefix, "y", "");
  golden_record *dy = golden_get(file, prefix, "grad_output", "");
  const martlet_array dy_array = golden_array(dy);
  martlet_view view;
  CHECK_OK(martlet_model_forward(model, arrays, count, 1));
  CHECK_OK(martlet_model_output(model, 0, &view));
  /* Deviations are 0.25 and more, a virtual batch's perhaps a fifth of that; corrections multiply by up to 3. */
  const double values = (double)(x->count / x->shape[x->rank - 1]),
               scale = golden_largest(golden_get(file, prefix, "scale", ""));
  const double normal = 3 * golden_largest(y) + 20;
  CHECK_GOLDEN(y, (float *)view.data, rounding_tolerance(16, scale * normal + 2));
  CHECK_OK(martlet_model_backward(model, &dy_array, 1, 0));
  CHECK_OK(martlet_model_input_gradient(model, 0, &view));
  CHECK_GOLDEN(golden_get(file, prefix, "grad_input", ""), (float *)view.data,
               sum_tolerance(values, 3 * scale / 0.05 * golden_largest(dy) * 4));
  if (weights != NULL) {
    CHECK_OK(martlet_model_input_gradient(model, 1, &view));
    for (int64_t i = 0; i < weights->count; i++) CHECK(((float *)view.data)[i] == 0);
  }
  const double sums = sum_tolerance(values, values * golden_largest(dy) * 8);
  CHECK_GOLDEN(golden_get(file, prefix, "grad_scale", ""), (float *)tensor_named(model, "n.weight").gradient, sums);
  CHECK_GOLDEN(golden_get(file, prefix, "grad_shift", ""), (float *)tensor_named(model, "n.bias").gradient, sums);
  if (!is_corrected) {
    const double size = golden_largest(x) + 1;
    CHECK_GOLDEN(golden_get(file, prefix, "moving_mean", ""), (float *)tensor_named(model, "n.running_mean").value.data,
                 rounding_tolerance(6, size * size));
    CHECK_GOLDEN(golden_get(file, prefix, "moving_variance", ""), (float *)tensor_named(model, "n.running_var").value.data,
                 rounding_tolerance(6, size * size));
  }
  martlet_model_destroy(model);
}

static void test_goldens(void) {
  golden_file file = golden_read("batch_norm_variants");
  static const char *const prefixes[] = {"mask_sequences/", "mask_images/",  "renorm_tight/",  "renorm_wide/",
                                         "renorm_images/",  "virtual_rows/", "virtual_images/"};
  for (int i = 0; i < CHECK_COUNT(prefixes); i++) check_case(&file, prefixes[i]);
  golden_free(&file);
}

static const check_test tests[] = {TEST(test_debiased), TEST(test_single_value), TEST(test_option_errors), TEST(test_goldens)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
