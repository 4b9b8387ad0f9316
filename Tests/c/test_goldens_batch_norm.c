/* BatchNorm against PyTorch: every combination of flags, three training steps, then inference. */
#include "golden.h"
#include "models.h"
#include "tolerance.h"

enum { STEPS = 3 };

/* A model of one BatchNorm with the case's options, scale, shift and first statistics. */
static martlet_model *model_of(const golden_file *file, const char *prefix) {
  const golden_record *x = golden_get(file, "", "x_1", "");
  martlet_graph *graph = NULL;
  martlet_node input = -1, output = -1;
  martlet_model *model = NULL;
  martlet_batch_norm_options options = MARTLET_BATCH_NORM_OPTIONS_INIT;
  options.epsilon = 1e-5;
  options.momentum = golden_number(file, prefix, "momentum");
  options.cumulative = (int32_t)golden_number(file, prefix, "cumulative");
  options.scale = (int32_t)golden_number(file, prefix, "scale");
  options.shift = (int32_t)golden_number(file, prefix, "shift");
  options.biased_moving_variance = (int32_t)golden_number(file, prefix, "biased");
  options.normalize_with = (int32_t)golden_number(file, prefix, "normalize_with_moving");
  options.updates_moving = (int32_t)golden_number(file, prefix, "updates_moving");
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", x->rank - 1, x->shape + 1, &input));
  CHECK_OK(martlet_graph_batch_norm(graph, "norm", input, &options, &output));
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 0));
  martlet_graph_destroy(graph);

  const char *const tensors[] = {"norm.running_mean", "norm.running_var", "norm.weight", "norm.bias"};
  static const char *const records[] = {"moving_mean_0", "moving_variance_0", "scale", "shift"};
  for (int i = 0; i < 4; i++) {
    if ((i == 2 && !options.scale) || (i == 3 && !options.shift)) continue;
    const martlet_array value = golden_array(golden_get(file, "", records[i], ""));
    CHECK_OK(martlet_model_set_tensors(model, &tensors[i], &value, 1, 0));
  }
  return model;
}

/* What the normalisation of one batch divides by, the largest over the channels, and the largest input. */
typedef struct magnitudes {
  double inverse, normalized, grad_output, rows;
} magnitudes;

static magnitudes magnitudes_of(const golden_file *file, const char *prefix, const golden_record *x, const golden_record *dy,
                                const golden_record *mean_before, const golden_record *variance_before) {
  magnitudes m = {0, 0, dy == NULL ? 0 : golden_largest(dy), 0};
  const int64_t channels = x->shape[x->rank - 1], rows = x->count / channels;
  const int constant = dy == NULL || golden_number(file, prefix, "normalize_with_moving") != 0;
  m.rows = (double)rows;
  for (int64_t k = 0; k < channels; k++) {
    double mean = 0, variance = 0;
    for (int64_t row = 0; row < rows; row++) mean += x->values[row * channels + k] / (double)rows;
    for (int64_t row = 0; row < rows; row++) variance += pow(x->values[row * channels + k] - mean, 2) / (double)rows;
    if (constant) {
      mean = mean_before->values[k];
      variance = variance_before->values[k];
    }
    const double inverse = 1 / sqrt(variance + 1e-5);
    m.inverse = fmax(m.inverse, inverse);
    for (int64_t row = 0; row < rows; row++) {
      m.normalized = fmax(m.normalized, fabs(x->values[row * channels + k] - mean) * inverse);
    }
  }
  return m;
}

static void check_step(const golden_file *file, const char *prefix, martlet_model *model, int step, double scale,
                       double shift) {
  char suffix[16], before[16];
  snprintf(suffix, sizeof suffix, "_%d", step);
  snprintf(before, sizeof before, "_%d", step - 1);
  const char *earlier = step == 1 ? "" : prefix;
  golden_record *x = golden_get(file, "", "x", suffix), *dy = golden_get(file, "", "grad_output", suffix);
  const magnitudes m = magnitudes_of(file, prefix, x, dy, golden_get(file, earlier, "moving_mean", before),
                                     golden_get(file, earlier, "moving_variance", before));
  martlet_view view;
  const martlet_array x_array = golden_array(x), dy_array = golden_array(dy);
  CHECK_OK(martlet_model_forward(model, &x_array, 1, 1));
  CHECK_OK(martlet_model_output(model, 0, &view));
  /* x - mean, times inverse, times scale, plus shift: four roundings, and two of mean and inverse themselves. */
  const double y_tolerance = rounding_tolerance(6, scale * m.normalized + shift);
  CHECK_GOLDEN(golden_get(file, prefix, "y", suffix), (float *)view.data, y_tolerance);

  CHECK_OK(martlet_model_backward(model, &dy_array, 1, 0));
  CHECK_OK(martlet_model_input_gradient(model, 0, &view));
  /* scale * inverse * (dy - mean(dy) - normalized * mean(dy * normalized)): the bracket's terms are at most dy * (2 +
   * normalized^2); ten operations on them, and the sums over the rows. */
  const double bracket = m.grad_output * (2 + m.normalized * m.normalized);
  const double dx_tolerance =
      scale * m.inverse * (rounding_tolerance(10, bracket) + sum_tolerance(m.rows, m.grad_output * m.normalized));
  CHECK_GOLDEN(golden_get(file, prefix, "grad_input", suffix), (float *)view.data, dx_tolerance);
  const golden_record *grad_scale = golden_find(file, prefix, "grad_scale", suffix);
  const golden_record *grad_shift = golden_find(file, prefix, "grad_shift", suffix);
  const double sum = m.rows * m.grad_output;
  if (grad_scale != NULL) {
    CHECK_GOLDEN(grad_scale, (float *)tensor_named(model, "norm.weight").gradient,
                 sum_tolerance(m.rows + 4, sum * m.normalized));
  }
  if (grad_shift != NULL) {
    CHECK_GOLDEN(grad_shift, (float *)tensor_named(model, "norm.bias").gradient, sum_tolerance(m.rows, sum));
  }

  const golden_record *mean = golden_get(file, prefix, "moving_mean", suffix);
  const golden_record *variance = golden_get(file, prefix, "moving_variance", suffix);
  /* Statistics are kept in float32: one rounding a step, each of a sum of two products. */
  CHECK_GOLDEN(mean, (float *)tensor_named(model, "norm.running_mean").value.data,
               rounding_tolerance(4 * step, golden_largest(mean) + 1));
  CHECK_GOLDEN(variance, (float *)tensor_named(model, "norm.running_var").value.data,
               rounding_tolerance(4 * step, golden_largest(variance) + 1));
}

static void check_case(const golden_file *file, const char *prefix) {
  martlet_model *model = model_of(file, prefix);
  const double scale = golden_number(file, prefix, "scale") != 0 ? golden_largest(golden_get(file, "", "scale", "")) : 1;
  const double shift = golden_number(file, prefix, "shift") != 0 ? golden_largest(golden_get(file, "", "shift", "")) : 0;
  for (int step = 1; step <= STEPS; step++) check_step(file, prefix, model, step, scale, shift);

  golden_record *x = golden_get(file, "", "x_inference", ""), *y = golden_get(file, prefix, "y_inference", "");
  const golden_record *mean = golden_get(file, prefix, "moving_mean_3", ""),
                      *variance = golden_get(file, prefix, "moving_variance_3", "");
  const magnitudes m = magnitudes_of(file, prefix, x, NULL, mean, variance);
  float *out = (float *)malloc((size_t)y->count * sizeof(float));
  if (out == NULL) exit(2);
  const martlet_array x_array = golden_array(x), out_array = floats_of(out, y->rank, y->shape);
  CHECK_OK(martlet_model_predict(model, &x_array, 1, 0, &out_array, 1));
  /* As above, and the moving mean's own error, which inference divides by the deviation. Folded to a*x + b, the terms are as
   * large as x and the mean over the deviation. */
  const double folded = (golden_largest(x) + golden_largest(mean) + 1) * m.inverse;
  CHECK_GOLDEN(y, out, rounding_tolerance(6 + 4 * STEPS, scale * (folded + m.normalized) + shift));
  free(out);
  martlet_model_destroy(model);
}

static void check_file(const char *name, int cases_expected) {
  golden_file file = golden_read(name);
  int cases = 0;
  for (int i = 0; i < file.count; i++) {
    const char *slash = strchr(file.records[i].name, '/');
    if (slash == NULL || strcmp(slash, "/scale") != 0) continue; /* each case starts with this record */
    char prefix[GOLDEN_MAX_NAME];
    snprintf(prefix, sizeof prefix, "%.*s", (int)(slash + 1 - file.records[i].name), file.records[i].name);
    const int failures = check_state.failures;
    check_case(&file, prefix);
    if (check_state.failures != failures) fprintf(stderr, "    in %s, case %s\n", name, prefix);
    cases++;
  }
  CHECK_INT(cases_expected, cases);
  golden_free(&file);
}

static void test_one_channel(void) {
  check_file("batch_norm_1", 21);
}
static void test_five_channels(void) {
  check_file("batch_norm_5", 21);
}
static void test_33_channels(void) {
  check_file("batch_norm_33", 21);
}
static void test_image(void) {
  check_file("batch_norm_image", 21);
}

static const check_test tests[] = {TEST(test_one_channel), TEST(test_five_channels), TEST(test_33_channels), TEST(test_image)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
