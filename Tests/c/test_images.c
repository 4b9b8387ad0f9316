/* Graphs: layers on images and sequences, with right and wrong options. */
#include "arrays.h"
#include "tolerance.h"

/* An image of 6 x 5 pixels of 4 channels, and a sequence of 8 of 4: nodes 0 and 1. */
static martlet_graph *graph_of_images(martlet_node *image, martlet_node *sequence) {
  martlet_graph *graph = NULL;
  const int64_t image_shape[3] = {6, 5, 4}, sequence_shape[2] = {8, 4};
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "image", 3, image_shape, image));
  CHECK_OK(martlet_graph_input(graph, "sequence", 2, sequence_shape, sequence));
  return graph;
}

/* The row shape of a node, as text. */
static const char *shape_text(martlet_graph *graph, martlet_node input, martlet_node node) {
  static char text[200];
  martlet_model *model = NULL;
  martlet_view view;
  int length = 0;
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &node, 1, 0));
  CHECK_OK(martlet_model_output_shape(model, 0, &view));
  text[0] = 0;
  for (int axis = 0; axis < view.rank; axis++) {
    length += snprintf(text + length, sizeof text - (size_t)length, "%s%lld", axis ? "x" : "", (long long)view.shape[axis]);
  }
  martlet_model_destroy(model);
  return text;
}

static void test_nulls_and_nodes(void) {
  martlet_node image = -1, sequence = -1, out;
  martlet_graph *graph = graph_of_images(&image, &sequence);
  const int64_t pads[4] = {0, 1, 2, 3};
  POISON(out);
#define REFUSES(function, node, ...)                                                                  \
  do {                                                                                                \
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", function(NULL, "x", node, __VA_ARGS__, &out));     \
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", function(graph, "x", node, __VA_ARGS__, NULL));      \
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", function(graph, "x", -1, __VA_ARGS__, &out));      \
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", function(graph, "x", 1000, __VA_ARGS__, &out));    \
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", function(graph, "a/b", node, __VA_ARGS__, &out));   \
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", function(graph, "image", node, __VA_ARGS__, &out)); \
  } while (0)
  REFUSES(martlet_graph_conv2d, image, 2, 3, 3, NULL);
  REFUSES(martlet_graph_conv1d, sequence, 2, 3, NULL);
  REFUSES(martlet_graph_max_pool2d, image, 2, 2, NULL);
  REFUSES(martlet_graph_avg_pool2d, image, 2, 2, NULL);
  REFUSES(martlet_graph_max_pool1d, sequence, 2, NULL);
  REFUSES(martlet_graph_avg_pool1d, sequence, 2, NULL);
  REFUSES(martlet_graph_upsample2d, image, 2, 2);
  REFUSES(martlet_graph_zero_pad2d, image, pads);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "pads", martlet_graph_zero_pad2d(graph, "x", image, NULL, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_global_avg_pool2d(NULL, "x", image, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_global_avg_pool2d(graph, "x", image, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_global_avg_pool1d(NULL, "x", sequence, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_global_avg_pool1d(graph, "x", sequence, NULL));
  /* Each on the other's rows. */
  CHECK_FAILS(BAD_SHAPE, "images", martlet_graph_conv2d(graph, "x", sequence, 2, 3, 3, NULL, &out));
  CHECK_FAILS(BAD_SHAPE, "sequences", martlet_graph_conv1d(graph, "x", image, 2, 3, NULL, &out));
  CHECK_FAILS(BAD_SHAPE, "images", martlet_graph_max_pool2d(graph, "x", sequence, 2, 2, NULL, &out));
  CHECK_FAILS(BAD_SHAPE, "images", martlet_graph_avg_pool2d(graph, "x", sequence, 2, 2, NULL, &out));
  CHECK_FAILS(BAD_SHAPE, "sequences", martlet_graph_max_pool1d(graph, "x", image, 2, NULL, &out));
  CHECK_FAILS(BAD_SHAPE, "sequences", martlet_graph_avg_pool1d(graph, "x", image, 2, NULL, &out));
  CHECK_FAILS(BAD_SHAPE, "images", martlet_graph_global_avg_pool2d(graph, "x", sequence, &out));
  CHECK_FAILS(BAD_SHAPE, "sequences", martlet_graph_global_avg_pool1d(graph, "x", image, &out));
  CHECK_FAILS(BAD_SHAPE, "images", martlet_graph_zero_pad2d(graph, "x", sequence, pads, &out));
  CHECK_FAILS(BAD_SHAPE, "images", martlet_graph_upsample2d(graph, "x", sequence, 2, 2, &out));
  UNWATCH_ALL();
  CHECK_OK(martlet_graph_conv2d(graph, NULL, image, 2, 3, 3, NULL, &out));
  CHECK_INT(2, out); /* none of the refused calls added a node */
  martlet_graph_destroy(graph);
}

/* Sizes that cannot be: 0, negative, beyond 32 bits. */
static const int64_t bad_sizes[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 31, (int64_t)1 << 62};

static void test_sizes(void) {
  martlet_node image = -1, sequence = -1, out;
  martlet_graph *graph = graph_of_images(&image, &sequence);
  const martlet_convolution_options defaults = MARTLET_CONVOLUTION_OPTIONS_INIT;
  const martlet_pooling_options pool_defaults = MARTLET_POOLING_OPTIONS_INIT;
  POISON(out);
  for (int i = 0; i < CHECK_COUNT(bad_sizes); i++) {
    const int64_t bad = bad_sizes[i];
    CHECK_FAILS(BAD_SHAPE, NULL, martlet_graph_conv2d(graph, "x", image, bad < 1 ? bad : INT64_MAX, 3, 3, NULL, &out));
    CHECK_FAILS(BAD_SHAPE, "height", martlet_graph_conv2d(graph, "x", image, 2, bad, 3, NULL, &out));
    CHECK_FAILS(BAD_SHAPE, "width", martlet_graph_conv2d(graph, "x", image, 2, 3, bad, NULL, &out));
    CHECK_FAILS(BAD_SHAPE, "length", martlet_graph_conv1d(graph, "x", sequence, 2, bad, NULL, &out));
    CHECK_FAILS(BAD_SHAPE, "height", martlet_graph_max_pool2d(graph, "x", image, bad, 2, NULL, &out));
    CHECK_FAILS(BAD_SHAPE, "width", martlet_graph_avg_pool2d(graph, "x", image, 2, bad, NULL, &out));
    CHECK_FAILS(BAD_SHAPE, "length", martlet_graph_max_pool1d(graph, "x", sequence, bad, NULL, &out));
    CHECK_FAILS(BAD_SHAPE, "length", martlet_graph_avg_pool1d(graph, "x", sequence, bad, NULL, &out));
    for (int axis = 0; axis < 2; axis++) {
      martlet_convolution_options options = defaults;
      options.strides[axis] = bad;
      CHECK_FAILS(BAD_SHAPE, "strides", martlet_graph_conv2d(graph, "x", image, 2, 3, 3, &options, &out));
      CHECK_FAILS(BAD_SHAPE, "strides", martlet_graph_conv1d(graph, "x", sequence, 2, 3, &options, &out));
      options = defaults;
      options.dilation[axis] = bad;
      CHECK_FAILS(BAD_SHAPE, "dilation", martlet_graph_conv2d(graph, "x", image, 2, 3, 3, &options, &out));
      CHECK_FAILS(BAD_SHAPE, "dilation", martlet_graph_conv1d(graph, "x", sequence, 2, 3, &options, &out));
      if (bad == 0) continue; /* of a pooling, the window's size */
      martlet_pooling_options pooling = pool_defaults;
      pooling.strides[axis] = bad;
      CHECK_FAILS(BAD_SHAPE, "strides", martlet_graph_max_pool2d(graph, "x", image, 2, 2, &pooling, &out));
      CHECK_FAILS(BAD_SHAPE, "strides", martlet_graph_avg_pool1d(graph, "x", sequence, 2, &pooling, &out));
    }
    for (int side = 0; side < 4 && bad != 0; side++) {
      martlet_convolution_options options = defaults;
      martlet_pooling_options pooling = pool_defaults;
      int64_t pads[4] = {0, 0, 0, 0};
      options.padding = pooling.padding = MARTLET_PADDING_EXPLICIT;
      options.pads[side] = pooling.pads[side] = pads[side] = bad;
      CHECK_FAILS(BAD_SHAPE, "padding", martlet_graph_conv2d(graph, "x", image, 2, 3, 3, &options, &out));
      CHECK_FAILS(BAD_SHAPE, "padding", martlet_graph_max_pool2d(graph, "x", image, 2, 2, &pooling, &out));
      CHECK_FAILS(BAD_SHAPE, "padding", martlet_graph_zero_pad2d(graph, "x", image, pads, &out));
    }
    if (bad > INT32_MAX && bad < INT64_MAX / 2) continue; /* an image that large may be described */
    CHECK_FAILS(BAD_SHAPE, "factor", martlet_graph_upsample2d(graph, "x", image, bad, 1, &out));
    CHECK_FAILS(BAD_SHAPE, "factor", martlet_graph_upsample2d(graph, "x", image, 1, bad, &out));
  }
  const int64_t groups[] = {0, -1, 3, 8, INT64_MIN, INT64_MAX};
  for (int i = 0; i < CHECK_COUNT(groups); i++) {
    martlet_convolution_options options = defaults;
    options.groups = groups[i];
    CHECK_FAILS(BAD_SHAPE, "groups", martlet_graph_conv2d(graph, "x", image, 6, 3, 3, &options, &out));
    CHECK_FAILS(BAD_SHAPE, "groups", martlet_graph_conv1d(graph, "x", sequence, 6, 3, &options, &out));
  }
  martlet_convolution_options halves = defaults;
  halves.groups = 2;
  CHECK_FAILS(BAD_SHAPE, "filters", martlet_graph_conv2d(graph, "x", image, 3, 3, 3, &halves, &out));
  /* Windows larger than their images; poolings of nothing but padding. */
  CHECK_FAILS(BAD_SHAPE, "height", martlet_graph_conv2d(graph, "x", image, 2, 7, 5, NULL, &out));
  CHECK_FAILS(BAD_SHAPE, "width", martlet_graph_conv2d(graph, "x", image, 2, 6, 6, NULL, &out));
  CHECK_FAILS(BAD_SHAPE, "length", martlet_graph_conv1d(graph, "x", sequence, 2, 9, NULL, &out));
  martlet_pooling_options wide = pool_defaults;
  wide.padding = MARTLET_PADDING_EXPLICIT;
  wide.pads[1] = 2;
  CHECK_FAILS(BAD_SHAPE, "height", martlet_graph_max_pool2d(graph, "x", image, 2, 2, &wide, &out));
  UNWATCH_ALL();
  martlet_graph_destroy(graph);
}

static void test_options(void) {
  martlet_node image = -1, sequence = -1, out;
  martlet_graph *graph = graph_of_images(&image, &sequence);
  const martlet_convolution_options defaults = MARTLET_CONVOLUTION_OPTIONS_INIT;
  const martlet_pooling_options pool_defaults = MARTLET_POOLING_OPTIONS_INIT;
  POISON(out);
  const size_t sizes[] = {0, 1, 4, (size_t)-1};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    martlet_convolution_options options = defaults;
    martlet_pooling_options pooling = pool_defaults;
    options.struct_size = pooling.struct_size = sizes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_graph_conv2d(graph, "x", image, 2, 3, 3, &options, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_graph_conv1d(graph, "x", sequence, 2, 3, &options, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_graph_max_pool2d(graph, "x", image, 2, 2, &pooling, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_graph_avg_pool1d(graph, "x", sequence, 2, &pooling, &out));
  }
  const int32_t codes[] = {-1, 3, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(codes); i++) {
    martlet_convolution_options options = defaults;
    martlet_pooling_options pooling = pool_defaults;
    options.padding = pooling.padding = codes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "padding", martlet_graph_conv2d(graph, "x", image, 2, 3, 3, &options, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "padding", martlet_graph_max_pool2d(graph, "x", image, 2, 2, &pooling, &out));
    options = defaults;
    options.algorithm = codes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "algorithm", martlet_graph_conv2d(graph, "x", image, 2, 3, 3, &options, &out));
    options = defaults;
    options.bias = codes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "bias", martlet_graph_conv2d(graph, "x", image, 2, 3, 3, &options, &out));
    options = defaults;
    options.weight_initializer.kind = codes[i] == 3 ? 7 : codes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "weight_initializer",
                martlet_graph_conv2d(graph, "x", image, 2, 3, 3, &options, &out));
    pooling = pool_defaults;
    pooling.count_includes_pad = codes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "count_includes_pad",
                martlet_graph_avg_pool2d(graph, "x", image, 2, 2, &pooling, &out));
  }
  /* Pads without MARTLET_PADDING_EXPLICIT would count for nothing; a sequence has neither top nor bottom. */
  martlet_convolution_options options = defaults;
  options.pads[2] = 1;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "pads", martlet_graph_conv2d(graph, "x", image, 2, 3, 3, &options, &out));
  options.padding = MARTLET_PADDING_EXPLICIT;
  options.pads[0] = 1;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "padding", martlet_graph_conv1d(graph, "x", sequence, 2, 3, &options, &out));
  /* Winograd's algorithm is for 3 x 3 steps of 1 on images. */
  martlet_convolution_options winograd = defaults;
  winograd.algorithm = MARTLET_CONVOLUTION_WINOGRAD;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "winograd needs", martlet_graph_conv2d(graph, "x", image, 2, 3, 2, &winograd, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "of a sequence", martlet_graph_conv1d(graph, "x", sequence, 2, 3, &winograd, &out));
  winograd.strides[1] = 2;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "winograd needs", martlet_graph_conv2d(graph, "x", image, 2, 3, 3, &winograd, &out));
  winograd = defaults;
  winograd.reserved = 1;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "reserved", martlet_graph_conv2d(graph, "x", image, 2, 3, 3, &winograd, &out));
  UNWATCH_ALL();
  CHECK_OK(martlet_graph_conv2d(graph, NULL, image, 2, 3, 3, &options, &out));
  CHECK_TEXT("5x4x2", shape_text(graph, image, out));
  martlet_graph_destroy(graph);
}

static void test_shapes(void) {
  martlet_node image = -1, sequence = -1, out = -1;
  martlet_graph *graph = graph_of_images(&image, &sequence);
  martlet_convolution_options options = MARTLET_CONVOLUTION_OPTIONS_INIT;
  martlet_pooling_options pooling = MARTLET_POOLING_OPTIONS_INIT;
  const int64_t pads[4] = {1, 2, 3, 4};
  CHECK_OK(martlet_graph_conv2d(graph, NULL, image, 7, 3, 2, NULL, &out));
  CHECK_TEXT("4x4x7", shape_text(graph, image, out));
  options.padding = MARTLET_PADDING_SAME;
  options.strides[0] = options.strides[1] = 2;
  options.groups = 4;
  CHECK_OK(martlet_graph_conv2d(graph, NULL, image, 8, 3, 3, &options, &out));
  CHECK_TEXT("3x3x8", shape_text(graph, image, out));
  CHECK_OK(martlet_graph_max_pool2d(graph, NULL, image, 2, 3, NULL, &out));
  CHECK_TEXT("3x1x4", shape_text(graph, image, out));
  pooling.strides[1] = 1;
  CHECK_OK(martlet_graph_avg_pool2d(graph, NULL, image, 2, 2, &pooling, &out));
  CHECK_TEXT("3x4x4", shape_text(graph, image, out));
  CHECK_OK(martlet_graph_avg_pool1d(graph, NULL, sequence, 2, &pooling, &out));
  CHECK_TEXT("7x4", shape_text(graph, sequence, out));
  CHECK_OK(martlet_graph_max_pool1d(graph, NULL, sequence, 3, NULL, &out));
  CHECK_TEXT("2x4", shape_text(graph, sequence, out));
  CHECK_OK(martlet_graph_conv1d(graph, NULL, sequence, 5, 3, NULL, &out));
  CHECK_TEXT("6x5", shape_text(graph, sequence, out));
  CHECK_OK(martlet_graph_global_avg_pool2d(graph, NULL, image, &out));
  CHECK_TEXT("4", shape_text(graph, image, out));
  CHECK_OK(martlet_graph_global_avg_pool1d(graph, NULL, sequence, &out));
  CHECK_TEXT("4", shape_text(graph, sequence, out));
  CHECK_OK(martlet_graph_zero_pad2d(graph, NULL, image, pads, &out));
  CHECK_TEXT("9x12x4", shape_text(graph, image, out));
  CHECK_OK(martlet_graph_upsample2d(graph, NULL, image, 2, 3, &out));
  CHECK_TEXT("12x15x4", shape_text(graph, image, out));
  martlet_graph_destroy(graph);
}

/* Bits tell which algorithm ran: the automatic choice for 16 channels is Winograd's. */
static void test_algorithms(void) {
  enum { SIDE = 6, WIDE = 16, COUNT = SIDE * SIDE * WIDE };
  static float x[COUNT], y[3][COUNT];
  const int64_t shape[3] = {SIDE, SIDE, WIDE};
  for (int i = 0; i < COUNT; i++) x[i] = (float)(i * 7 % 101) / 101.0f - 0.5f;
  for (int32_t algorithm = 0; algorithm < 3; algorithm++) {
    martlet_graph *graph = NULL;
    martlet_model *model = NULL;
    martlet_node input = -1, output = -1;
    martlet_convolution_options options = MARTLET_CONVOLUTION_OPTIONS_INIT;
    options.padding = MARTLET_PADDING_SAME;
    options.algorithm = algorithm;
    CHECK_OK(martlet_graph_create(&graph));
    CHECK_OK(martlet_graph_input(graph, "in", 3, shape, &input));
    CHECK_OK(martlet_graph_conv2d(graph, NULL, input, WIDE, 3, 3, &options, &output));
    CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 1));
    CHECK_OK(martlet_model_predict_rows(model, x, 1, y[algorithm]));
    martlet_model_destroy(model);
    martlet_graph_destroy(graph);
  }
  CHECK(memcmp(y[MARTLET_CONVOLUTION_AUTOMATIC], y[MARTLET_CONVOLUTION_WINOGRAD], sizeof y[0]) == 0);
  CHECK(memcmp(y[MARTLET_CONVOLUTION_DIRECT], y[MARTLET_CONVOLUTION_WINOGRAD], sizeof y[0]) != 0);
  /* Glorot's weights are at most sqrt(6 / (2 * 9 * 16)) in size; the direct sum's bound, and 16 / 9 (C + 12) / C times it. */
  const double terms = 9.0 * WIDE, magnitude = terms * 0.5 * sqrt(6 / (2 * terms));
  const double tolerance = sum_tolerance(terms, magnitude) + sum_tolerance(WIDE + 12, 16 * magnitude);
  for (int i = 0; i < COUNT; i++) {
    CHECK_CLOSE(y[MARTLET_CONVOLUTION_DIRECT][i], y[MARTLET_CONVOLUTION_WINOGRAD][i], tolerance);
  }
}

static const check_test tests[] = {TEST(test_nulls_and_nodes), TEST(test_sizes), TEST(test_options), TEST(test_shapes),
                                   TEST(test_algorithms)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
