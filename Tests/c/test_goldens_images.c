/* Layers on images against PyTorch. */
#include "golden.h"
#include "models.h"
#include "tolerance.h"

static void check_convolution(const golden_file *file, const char *prefix) {
  golden_record *x = golden_get(file, prefix, "x", ""), *weight = golden_get(file, prefix, "weight", "");
  golden_record *bias = golden_find(file, prefix, "bias", ""), *dy = golden_get(file, prefix, "grad_output", "");
  martlet_convolution_options options = MARTLET_CONVOLUTION_OPTIONS_INIT;
  golden_numbers(file, prefix, "strides", options.strides);
  golden_numbers(file, prefix, "dilation", options.dilation);
  golden_numbers(file, prefix, "pads", options.pads);
  golden_numbers(file, prefix, "groups", &options.groups);
  options.padding = MARTLET_PADDING_EXPLICIT;
  options.bias = bias != NULL;
  martlet_graph *graph = NULL;
  martlet_node input = -1, output = -1;
  martlet_model *model = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 3, x->shape + 1, &input));
  CHECK_OK(martlet_graph_conv2d(graph, "conv", input, weight->shape[0], weight->shape[2], weight->shape[3], &options, &output));
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 0));
  martlet_graph_destroy(graph);
  const char *const weight_name = "conv.weight", *const bias_name = "conv.bias";
  const martlet_array x_array = golden_array(x), dy_array = golden_array(dy), weight_array = golden_array(weight);
  CHECK_OK(martlet_model_set_tensors(model, &weight_name, &weight_array, 1, 0));
  if (bias != NULL) {
    const martlet_array bias_array = golden_array(bias);
    CHECK_OK(martlet_model_set_tensors(model, &bias_name, &bias_array, 1, 0));
  }
  martlet_view view;
  const double kernel = (double)(weight->shape[2] * weight->shape[3]);
  const double inputs = kernel * (double)weight->shape[1], outputs = kernel * (double)weight->shape[0];
  const double positions = (double)(dy->shape[0] * dy->shape[1] * dy->shape[2]);
  const double xs = golden_largest(x), ws = golden_largest(weight), dys = golden_largest(dy);
  const double bs = bias == NULL ? 0 : golden_largest(bias);
  CHECK_OK(martlet_model_forward(model, &x_array, 1, 1));
  CHECK_OK(martlet_model_output(model, 0, &view));
  CHECK_INT(4, view.rank);
  for (int axis = 0; axis < 4; axis++) CHECK_INT(dy->shape[axis], view.shape[axis]);
  CHECK_GOLDEN(golden_get(file, prefix, "y", ""), (float *)view.data, sum_tolerance(inputs, inputs * xs * ws + bs));
  CHECK_OK(martlet_model_backward(model, &dy_array, 1, 0));
  CHECK_OK(martlet_model_input_gradient(model, 0, &view));
  CHECK_GOLDEN(golden_get(file, prefix, "grad_input", ""), (float *)view.data, sum_tolerance(outputs, outputs * dys * ws));
  CHECK_GOLDEN(golden_get(file, prefix, "grad_weight", ""), (float *)tensor_named(model, weight_name).gradient,
               sum_tolerance(positions, positions * dys * xs));
  if (bias != NULL) {
    CHECK_GOLDEN(golden_get(file, prefix, "grad_bias", ""), (float *)tensor_named(model, bias_name).gradient,
                 sum_tolerance(positions, positions * dys));
  }
  martlet_model_destroy(model);
}

static void test_convolutions(void) {
  static const char *const cases[] = {
      "point/",   "valid/",           "around/", "uneven/",    "strided/",           "stem/",  "skipping/",
      "dilated/", "dilated_strided/", "groups/", "depthwise/", "depthwise_strided/", "tails/", "padding_alone/"};
  golden_file file = golden_read("convolution");
  for (int i = 0; i < CHECK_COUNT(cases); i++) check_convolution(&file, cases[i]);
  golden_free(&file);
}

enum { MAX, AVERAGE, AVERAGE_WITH_PADDING, GLOBAL, UPSAMPLE, ZERO_PAD };

static void check_pooling(const golden_file *file, const char *prefix) {
  golden_record *x = golden_get(file, prefix, "x", ""), *dy = golden_get(file, prefix, "grad_output", "");
  const int kind = (int)golden_number(file, prefix, "kind");
  martlet_pooling_options options = MARTLET_POOLING_OPTIONS_INIT;
  int64_t size[2];
  golden_numbers(file, prefix, "size", size);
  golden_numbers(file, prefix, "strides", options.strides);
  golden_numbers(file, prefix, "pads", options.pads);
  options.padding = MARTLET_PADDING_EXPLICIT;
  options.count_includes_pad = kind == AVERAGE_WITH_PADDING;
  martlet_graph *graph = NULL;
  martlet_node in = -1, out = -1;
  martlet_model *model = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 3, x->shape + 1, &in));
  switch (kind) {
    case MAX: CHECK_OK(martlet_graph_max_pool2d(graph, NULL, in, size[0], size[1], &options, &out)); break;
    case AVERAGE:
    case AVERAGE_WITH_PADDING: CHECK_OK(martlet_graph_avg_pool2d(graph, NULL, in, size[0], size[1], &options, &out)); break;
    case GLOBAL: CHECK_OK(martlet_graph_global_avg_pool2d(graph, NULL, in, &out)); break;
    case UPSAMPLE: CHECK_OK(martlet_graph_upsample2d(graph, NULL, in, size[0], size[1], &out)); break;
    default: CHECK_OK(martlet_graph_zero_pad2d(graph, NULL, in, options.pads, &out));
  }
  CHECK_OK(martlet_model_create(&model, graph, &in, 1, &out, 1, 0));
  martlet_graph_destroy(graph);
  const martlet_array x_array = golden_array(x), dy_array = golden_array(dy);
  martlet_view view;
  const double terms = (double)(size[0] * size[1]);
  CHECK_OK(martlet_model_forward(model, &x_array, 1, 1));
  CHECK_OK(martlet_model_output(model, 0, &view));
  CHECK_GOLDEN(golden_get(file, prefix, "y", ""), (float *)view.data, sum_tolerance(terms, terms * golden_largest(x)));
  CHECK_OK(martlet_model_backward(model, &dy_array, 1, 0));
  CHECK_OK(martlet_model_input_gradient(model, 0, &view));
  CHECK_GOLDEN(golden_get(file, prefix, "grad_input", ""), (float *)view.data,
               sum_tolerance(terms, terms * golden_largest(dy)));
  martlet_model_destroy(model);
}

static void test_poolings(void) {
  static const char *const cases[] = {"max/",
                                      "max_overlapping/",
                                      "max_padded/",
                                      "max_uneven/",
                                      "max_equal/",
                                      "max_skipping/",
                                      "average/",
                                      "average_overlapping/",
                                      "average_padded/",
                                      "average_with_padding/",
                                      "average_uneven/",
                                      "average_uneven_with_padding/",
                                      "global/",
                                      "upsample/",
                                      "zero_pad/"};
  golden_file file = golden_read("pooling");
  for (int i = 0; i < CHECK_COUNT(cases); i++) check_pooling(&file, cases[i]);
  golden_free(&file);
}

static const check_test tests[] = {TEST(test_convolutions), TEST(test_poolings)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
