/* Flattened images: channels last here, channels first in PyTorch. */
#include "models.h"

enum { HEIGHT = 2, WIDTH = 3, CHANNELS = 2, PLACES = HEIGHT * WIDTH, VALUES = PLACES * CHANNELS, UNITS = 2 };

/* 2x3x2 -> flatten -> batch norm -> dense (2). */
static martlet_model *make_image_model(void) {
  static const int64_t shape[3] = {HEIGHT, WIDTH, CHANNELS};
  martlet_graph *graph = NULL;
  martlet_model *model = NULL;
  martlet_node input = -1, node = -1;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 3, shape, &input));
  CHECK_OK(martlet_graph_flatten(graph, "flat", input, &node));
  CHECK_OK(martlet_graph_batch_norm(graph, "norm", node, NULL, &node));
  CHECK_OK(martlet_graph_dense(graph, "dense", node, UNITS, NULL, &node));
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &node, 1, 3));
  martlet_graph_destroy(graph);
  return model;
}

static void test_orders(void) {
  static const int64_t shape[2] = {UNITS, VALUES};
  martlet_model *model = make_image_model();
  float values[UNITS * VALUES], theirs[UNITS * VALUES];
  for (int i = 0; i < UNITS * VALUES; i++) values[i] = theirs[i] = (float)i;
  const martlet_array array = floats_of(values, 2, shape);
  martlet_view view;
  CHECK_OK(martlet_model_reorder_tensor(&view, model, "dense.weight", &array, MARTLET_FLATTEN_CHANNELS_FIRST,
                                        MARTLET_FLATTEN_CHANNELS_LAST));
  CHECK(view.data == values);
  CHECK_INT(2, view.rank);
  CHECK_INT(VALUES, view.shape[1]);
  CHECK_INT(VALUES, view.strides[0]);
  for (int row = 0; row < UNITS; row++)
    for (int place = 0; place < PLACES; place++)
      for (int c = 0; c < CHANNELS; c++)
        CHECK_CLOSE(row * VALUES + c * PLACES + place, values[row * VALUES + place * CHANNELS + c], 0);
  CHECK_OK(martlet_model_reorder_tensor(NULL, model, "dense.weight", &array, MARTLET_FLATTEN_CHANNELS_LAST,
                                        MARTLET_FLATTEN_CHANNELS_FIRST));
  CHECK(memcmp(theirs, values, sizeof values) == 0);

  /* The channels of a norm follow, whatever their type; what does not is left alone. */
  double channels[VALUES];
  for (int i = 0; i < VALUES; i++) channels[i] = i;
  const martlet_array statistics = array_of(channels, MARTLET_FLOAT64, 1, &shape[1]);
  CHECK_OK(martlet_model_reorder_tensor(NULL, model, "norm.running_var", &statistics, MARTLET_FLATTEN_CHANNELS_FIRST,
                                        MARTLET_FLATTEN_CHANNELS_LAST));
  CHECK_CLOSE(PLACES, channels[1], 0);
  const martlet_array bias = floats_of(values, 1, shape);
  CHECK_OK(
      martlet_model_reorder_tensor(NULL, model, "dense.bias", &bias, MARTLET_FLATTEN_UNKNOWN, MARTLET_FLATTEN_CHANNELS_LAST));
  CHECK(memcmp(theirs, values, sizeof values) == 0);
  martlet_model_destroy(model);
}

static void test_refused(void) {
  static const int64_t shape[2] = {UNITS, VALUES}, turned[2] = {VALUES, UNITS}, strides[2] = {1, UNITS};
  enum { FIRST = MARTLET_FLATTEN_CHANNELS_FIRST, LAST = MARTLET_FLATTEN_CHANNELS_LAST };
  martlet_model *model = make_image_model();
  float values[UNITS * VALUES] = {0};
  const martlet_array array = floats_of(values, 2, shape), other = floats_of(values, 2, turned);
  martlet_array strided = array;
  strided.strides = strides;
  martlet_view view;
  memset(&view, 0xA5, sizeof view);
  WATCH(&view, sizeof view);
  WATCH(values, sizeof values);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "layer \"dense\"",
              martlet_model_reorder_tensor(&view, model, "dense.weight", &array, MARTLET_FLATTEN_UNKNOWN, LAST));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "values",
              martlet_model_reorder_tensor(&view, model, "dense.weight", &other, FIRST, LAST));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "contiguous",
              martlet_model_reorder_tensor(&view, model, "dense.weight", &strided, FIRST, LAST));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nobody", martlet_model_reorder_tensor(&view, model, "nobody", &array, FIRST, LAST));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_model_reorder_tensor(&view, model, NULL, &array, FIRST, LAST));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model",
              martlet_model_reorder_tensor(&view, NULL, "dense.weight", &array, FIRST, LAST));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "values",
              martlet_model_reorder_tensor(&view, model, "dense.weight", NULL, FIRST, LAST));
  const int32_t wrong[] = {-1, 3, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(wrong); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "from",
                martlet_model_reorder_tensor(&view, model, "dense.weight", &array, wrong[i], LAST));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "to",
                martlet_model_reorder_tensor(&view, model, "dense.weight", &array, FIRST, wrong[i]));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "to",
              martlet_model_reorder_tensor(&view, model, "dense.weight", &array, FIRST, MARTLET_FLATTEN_UNKNOWN));
  UNWATCH_ALL();
  martlet_model_destroy(model);
}

static const check_test tests[] = {TEST(test_orders), TEST(test_refused)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
