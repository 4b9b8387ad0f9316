/* Flattened images: channels last here, channels first in PyTorch. */
#include <unistd.h>

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

/* A file that the library did not write says nothing of its order. */
static void test_files_of_others(void) {
  static const char header[] = "{\"dense.weight\":{\"dtype\":\"F32\",\"shape\":[2,12],\"data_offsets\":[0,96]}}    ";
  char path[] = "/tmp/martlet-test-XXXXXX";
  const uint64_t length = sizeof header - 1;
  float values[UNITS * VALUES], found[UNITS * VALUES];
  for (int i = 0; i < UNITS * VALUES; i++) values[i] = (float)i;
  const int descriptor = mkstemp(path);
  FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
  CHECK(file != NULL);
  if (file == NULL) return;
  CHECK(fwrite(&length, 8, 1, file) == 1 && fwrite(header, length, 1, file) == 1 &&
        fwrite(values, sizeof values, 1, file) == 1);
  fclose(file);

  martlet_model *model = make_image_model();
  static const int64_t shape[2] = {UNITS, VALUES};
  const martlet_array out = floats_of(found, 2, shape);
  const uint64_t before = model_fingerprint(model);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "layer \"dense\"",
              martlet_model_load_weights(NULL, model, path, 0, MARTLET_FLATTEN_UNKNOWN));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "flatten_order", martlet_model_load_weights(NULL, model, path, 0, 3));
  CHECK(model_fingerprint(model) == before);
  CHECK_OK(martlet_model_load_weights(NULL, model, path, 0, MARTLET_FLATTEN_CHANNELS_FIRST));
  CHECK_OK(martlet_model_read_tensor(model, "dense.weight", &out));
  CHECK_CLOSE(PLACES, found[1], 0);
  CHECK_CLOSE(VALUES + 1, found[VALUES + CHANNELS], 0);
  CHECK_OK(martlet_model_load_weights(NULL, model, path, 0, MARTLET_FLATTEN_CHANNELS_LAST));
  CHECK_OK(martlet_model_read_tensor(model, "dense.weight", &out));
  CHECK(memcmp(values, found, sizeof values) == 0);
  CHECK_OK(martlet_model_save(model, path)); /* a file of its own is in its own order */
  CHECK_OK(martlet_model_load_weights(NULL, model, path, 1, MARTLET_FLATTEN_UNKNOWN));
  unlink(path);
  martlet_model_destroy(model);
}

static const check_test tests[] = {TEST(test_orders), TEST(test_refused), TEST(test_files_of_others)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
