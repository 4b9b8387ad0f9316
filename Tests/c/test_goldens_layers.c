/* Dense and the losses against PyTorch. */
#include "golden.h"
#include "models.h"
#include "tolerance.h"

static void check_dense(const golden_file *file, const char *prefix) {
  golden_record *x = golden_get(file, prefix, "x", ""), *weight = golden_get(file, prefix, "weight", "");
  golden_record *bias = golden_find(file, prefix, "bias", ""), *dy = golden_get(file, prefix, "grad_output", "");
  martlet_graph *graph = NULL;
  martlet_node input = -1, output = -1;
  martlet_model *model = NULL;
  martlet_dense_options options = MARTLET_DENSE_OPTIONS_INIT;
  options.bias = bias != NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, x->shape + 1, &input));
  CHECK_OK(martlet_graph_dense(graph, "dense", input, weight->shape[0], &options, &output));
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 0));
  martlet_graph_destroy(graph);
  const char *const weight_name = "dense.weight", *const bias_name = "dense.bias";
  const martlet_array x_array = golden_array(x), dy_array = golden_array(dy), weight_array = golden_array(weight);
  CHECK_OK(martlet_model_set_tensors(model, &weight_name, &weight_array, 1, 0));
  if (bias != NULL) {
    const martlet_array bias_array = golden_array(bias);
    CHECK_OK(martlet_model_set_tensors(model, &bias_name, &bias_array, 1, 0));
  }
  martlet_view view;
  const double rows = (double)x->shape[0], inputs = (double)x->shape[1], units = (double)weight->shape[0];
  const double xs = golden_largest(x), ws = golden_largest(weight), dys = golden_largest(dy);
  const double bs = bias == NULL ? 0 : golden_largest(bias);
  CHECK_OK(martlet_model_forward(model, &x_array, 1, 1));
  CHECK_OK(martlet_model_output(model, 0, &view));
  CHECK_GOLDEN(golden_get(file, prefix, "y", ""), (float *)view.data, sum_tolerance(inputs, inputs * xs * ws + bs));
  CHECK_OK(martlet_model_backward(model, &dy_array, 1, 0));
  CHECK_OK(martlet_model_input_gradient(model, 0, &view));
  CHECK_GOLDEN(golden_get(file, prefix, "grad_input", ""), (float *)view.data, sum_tolerance(units, units * dys * ws));
  CHECK_GOLDEN(golden_get(file, prefix, "grad_weight", ""), (float *)tensor_named(model, weight_name).gradient,
               sum_tolerance(rows, rows * dys * xs));
  if (bias != NULL) {
    CHECK_GOLDEN(golden_get(file, prefix, "grad_bias", ""), (float *)tensor_named(model, bias_name).gradient,
                 sum_tolerance(rows, rows * dys));
  }
  martlet_model_destroy(model);
}

static void test_dense(void) {
  static const char *const cases[] = {"one/", "small/", "nobias/", "tails/"};
  golden_file file = golden_read("dense");
  for (int i = 0; i < CHECK_COUNT(cases); i++) check_dense(&file, cases[i]);
  golden_free(&file);
}

static void check_loss(const golden_file *file, const char *prefix) {
  golden_record *output = golden_get(file, prefix, "output", ""), *target = golden_get(file, prefix, "target", "");
  const golden_record *gradient = golden_get(file, prefix, "gradient", ""), *correct = golden_find(file, prefix, "correct", "");
  const martlet_array output_array = golden_array(output), target_array = golden_array(target);
  float *got = (float *)malloc((size_t)output->count * sizeof(float));
  if (got == NULL) exit(2);
  const martlet_array got_array = floats_of(got, output->rank, output->shape);
  double loss = -1;
  int64_t hits = -1;
  const int32_t kind = (int32_t)golden_number(file, prefix, "kind");
  CHECK_OK(martlet_loss(kind, &output_array, &target_array, &loss, &hits, &got_array));
  /* The loss: float32 logarithms and exponentials of numbers up to `largest`, whose errors a sum cannot enlarge.
   * The gradient: differences of probabilities (at most 1), or of output and target, over the count. */
  const double largest = golden_largest(output), expected = golden_number(file, prefix, "loss");
  CHECK_CLOSE(expected, loss, rounding_tolerance(8, fmax(fabs(expected), fmin(largest, 128)) + 1));
  const double scale = kind == MARTLET_LOSS_MEAN_SQUARED_ERROR ? 2 * (largest + golden_largest(target)) : 1;
  const double parts = kind == MARTLET_LOSS_CROSS_ENTROPY ? (double)output->shape[0] : (double)output->count;
  CHECK_GOLDEN(gradient, got, rounding_tolerance(8, scale / parts));
  if (correct != NULL) CHECK_INT((int64_t)correct->values[0], hits);
  free(got);
}

static void test_losses(void) {
  static const char *const cases[] = {"labels/",        "labels_large/",       "labels_one_row/",
                                      "probabilities/", "mean_squared_error/", "mean_squared_error_vector/",
                                      "binary/",        "binary_soft/",        "binary_large/"};
  golden_file file = golden_read("losses");
  for (int i = 0; i < CHECK_COUNT(cases); i++) {
    const int failures = check_state.failures;
    check_loss(&file, cases[i]);
    if (check_state.failures != failures) fprintf(stderr, "    in losses, case %s\n", cases[i]);
  }
  golden_free(&file);
}

static const check_test tests[] = {TEST(test_dense), TEST(test_losses)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
