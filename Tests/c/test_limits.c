/* Every limit of the header, at it and one beyond, from builders and from files; no output struct is written past its end. */
#include <unistd.h>

#include "models.h"

static char folder[] = "/tmp/martlet-test-XXXXXX";

static const char *path_of(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

enum { ROW_RANK = MARTLET_MAX_RANK - 1 };
static int64_t row[MARTLET_MAX_RANK + 2]; /* 1, 1, ..., 1, 2, 3 at the limit's end; see fill_row */

/* A row of `rank` axes, the last two of them 2 and 3. */
static const int64_t *fill_row(int rank) {
  for (int axis = 0; axis < rank; axis++) row[axis] = axis == rank - 1 ? 3 : axis == rank - 2 ? 2 : 1;
  return row;
}

/* A struct with bytes behind it that nobody may write. */
#define GUARDED(type)          \
  struct {                     \
    type value;                \
    unsigned char behind[256]; \
  }
#define GUARD(guarded)       memset(&(guarded), 0x5a, sizeof(guarded))
#define CHECK_GUARD(guarded) check_guard(__LINE__, (guarded).behind)

static void check_guard(int line, const unsigned char *behind) {
  int changed = 0;
  for (int i = 0; i < 256; i++) changed += behind[i] != 0x5a;
  if (changed != 0) printf("line %d: %d bytes behind a struct were written\n", line, changed);
  CHECK_INT(0, changed);
}

static void check_shape(const int64_t *expected, int32_t expected_rank, const int64_t *shape, int32_t rank) {
  CHECK_INT(expected_rank, rank);
  for (int32_t axis = 0; axis < rank && axis < expected_rank; axis++) CHECK_INT(expected[axis], shape[axis]);
}

/* Every function that writes a shape, for a model whose rows have `rank` axes. */
static void check_outputs(martlet_model *model, int32_t rank) {
  const int64_t *expected = fill_row(rank);
  int64_t batch_shape[MARTLET_MAX_RANK + 1] = {2};
  memcpy(batch_shape + 1, expected, (size_t)rank * sizeof *expected);
  GUARDED(martlet_view) view;
  GUARD(view);
  CHECK_OK(martlet_model_input_shape(model, 0, &view.value));
  check_shape(expected, rank, view.value.shape, view.value.rank);
  CHECK_GUARD(view);
  GUARD(view);
  CHECK_OK(martlet_model_output_shape(model, 0, &view.value));
  check_shape(expected, rank, view.value.shape, view.value.rank);
  CHECK_GUARD(view);

  GUARDED(martlet_layer_info) layer;
  for (int32_t i = 0; i < martlet_model_layer_count(model); i++) {
    GUARD(layer);
    layer.value.struct_size = sizeof layer.value;
    CHECK_OK(martlet_model_layer_at(model, i, &layer.value));
    check_shape(expected, rank, layer.value.output_shape, layer.value.output_rank);
    CHECK_GUARD(layer);
  }
  GUARDED(martlet_tensor_info) tensor;
  for (int32_t i = 0; i < martlet_model_tensor_count(model); i++) {
    GUARD(tensor);
    tensor.value.struct_size = sizeof tensor.value;
    CHECK_OK(martlet_model_tensor_spec_at(model, i, &tensor.value));
    check_shape(expected, rank, tensor.value.value.shape, tensor.value.value.rank);
    CHECK_GUARD(tensor);
    GUARD(tensor);
    tensor.value.struct_size = sizeof tensor.value;
    CHECK_OK(martlet_model_tensor_at(model, i, &tensor.value));
    check_shape(expected, rank, tensor.value.value.shape, tensor.value.value.rank);
    CHECK_GUARD(tensor);
    const char *name = tensor.value.name;
    GUARD(tensor);
    tensor.value.struct_size = sizeof tensor.value;
    CHECK_OK(martlet_model_tensor_named(model, name, &tensor.value));
    check_shape(expected, rank, tensor.value.value.shape, tensor.value.value.rank);
    CHECK_GUARD(tensor);
  }

  float values[12], results[12] = {0};
  fill(values, 12, 1);
  const martlet_array x = floats_of(values, rank + 1, batch_shape), y = floats_of(results, rank + 1, batch_shape);
  CHECK_OK(martlet_model_predict(model, &x, 1, 0, &y, 1));
  CHECK_OK(martlet_model_forward(model, &x, 1, 1));
  GUARD(view);
  CHECK_OK(martlet_model_output(model, 0, &view.value));
  check_shape(batch_shape, rank + 1, view.value.shape, view.value.rank);
  CHECK_GUARD(view);
  CHECK_OK(martlet_model_backward(model, &x, 1, 0));
  GUARD(view);
  CHECK_OK(martlet_model_input_gradient(model, 0, &view.value));
  check_shape(batch_shape, rank + 1, view.value.shape, view.value.rank);
  CHECK_GUARD(view);

  martlet_tensor *copy = NULL;
  CHECK_OK(martlet_tensor_create(&copy, &x));
  GUARD(view);
  CHECK_OK(martlet_tensor_view(copy, &view.value));
  check_shape(batch_shape, rank + 1, view.value.shape, view.value.rank);
  CHECK_GUARD(view);
  martlet_tensor_destroy(copy);
}

/* layer_norm over all axes, whose tensors have the row's rank, relu and a reshape. */
static martlet_model *model_of_rank(int32_t rank) {
  martlet_graph *graph = NULL;
  martlet_node input = -1, node = -1;
  martlet_normalization_options options = MARTLET_LAYER_NORM_INIT;
  options.over = MARTLET_OVER_ALL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", rank, fill_row(rank), &input));
  CHECK_OK(martlet_graph_normalization(graph, "norm", input, &options, &node));
  CHECK_OK(martlet_graph_activation(graph, "relu", node, MARTLET_RELU, &node));
  CHECK_OK(martlet_graph_reshape(graph, "shape", node, rank, row, &node));
  martlet_model *model = NULL;
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &node, 1, 1));
  martlet_graph_destroy(graph);
  return model;
}

static void test_ranks_of_rows(void) {
  for (int32_t rank = 2; rank <= ROW_RANK; rank++) {
    martlet_model *model = model_of_rank(rank), *loaded = NULL;
    check_outputs(model, rank);
    CHECK_OK(martlet_model_save(model, path_of("row")));
    CHECK_OK(martlet_model_load(&loaded, path_of("row")));
    check_outputs(loaded, rank);
    martlet_model_destroy(loaded);
    martlet_model_destroy(model);
  }
  martlet_graph *graph = NULL;
  martlet_node input = -1, out;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 2, fill_row(2), &input));
  POISON(out);
  for (int32_t rank = ROW_RANK + 1; rank <= MARTLET_MAX_RANK + 2; rank++) {
    CHECK_FAILS(BAD_SHAPE, "rank", martlet_graph_input(graph, "x", rank, fill_row(rank), &out));
    CHECK_FAILS(BAD_SHAPE, "rank", martlet_graph_reshape(graph, "x", input, rank, fill_row(rank), &out));
  }
  UNWATCH_ALL();
  martlet_graph_destroy(graph);
}

static void test_convolution_shape(void) {
  const int64_t x[4] = {2, 5, 5, 3}, weight[4] = {4, 3, 3, 3}, expected[4] = {2, 3, 3, 4};
  int64_t out[8] = {-7, -7, -7, -7, -7, -7, -7, -7};
  CHECK_OK(martlet_convolution_shape(out, x, weight, NULL));
  check_shape(expected, 4, out, 4);
  for (int i = 4; i < 8; i++) CHECK_INT(-7, out[i]);
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

/* A file without tensors whose architecture is `text`, in which every quotation mark is written \". */
static void write_architecture(const char *path, const char *text) {
  char header[8192];
  const int length = snprintf(header, sizeof header, "{\"__metadata__\":{\"martlet\":\"%s\"}}", text);
  CHECK(length > 0 && length < (int)sizeof header);
  FILE *file = fopen(path, "wb");
  CHECK(file != NULL);
  if (file == NULL) return;
  for (int byte = 0; byte < 8; byte++) fputc((int)(((uint64_t)length >> (8 * byte)) & 0xff), file);
  CHECK_INT(length, fwrite(header, 1, (size_t)length, file));
  CHECK_INT(0, fclose(file));
}

#define FILE_START "{\\\"format\\\":\\\"martlet\\\",\\\"version\\\":1,"
#define RELU_LAYER "\\\"layers\\\":[{\\\"name\\\":\\\"r\\\",\\\"kind\\\":\\\"relu\\\",\\\"options\\\":{}}],"
#define FILE_END   "\\\"inputs\\\":[0],\\\"outputs\\\":[1],\\\"frozen\\\":[]}"

/* An input of `rank` axes and a relu: 330 bytes. */
static void write_row_file(const char *path, int32_t rank) {
  char shape[256] = "1", text[2048];
  for (int32_t axis = 1; axis < rank; axis++) strcat(shape, ",1");
  snprintf(text, sizeof text,
           FILE_START RELU_LAYER
           "\\\"nodes\\\":[{\\\"input\\\":[%s],\\\"name\\\":\\\"in\\\"},{\\\"layer\\\":0,\\\"from\\\":[0]}]," FILE_END,
           shape);
  write_architecture(path, text);
}

static void test_ranks_of_files(void) {
  martlet_model *model = NULL;
  write_row_file(path_of("row"), ROW_RANK);
  CHECK_OK(martlet_model_load(&model, path_of("row")));
  GUARDED(martlet_view) view;
  GUARD(view);
  CHECK_OK(martlet_model_input_shape(model, 0, &view.value));
  CHECK_INT(ROW_RANK, view.value.rank);
  CHECK_GUARD(view);
  martlet_model_destroy(model);
  POISON(model);
  for (int32_t rank = MARTLET_MAX_RANK; rank <= 64; rank++) {
    write_row_file(path_of("row"), rank);
    CHECK_FAILS(STATUS(CORRUPT_FILE), "axes", martlet_model_load(&model, path_of("row")));
  }
  UNWATCH_ALL();
}

static void test_nonsense_in_files(void) {
  static const char *const files[][2] = {
      /* what is said of it, the architecture behind its format and version */
      {"unknown member \"more\"", "\\\"more\\\":1," RELU_LAYER "\\\"nodes\\\":[{\\\"input\\\":[1],\\\"name\\\":\\\"in\\\"},"
                                  "{\\\"layer\\\":0,\\\"from\\\":[0]}]," FILE_END},
      {"unknown option \"slope\"",
       "\\\"layers\\\":[{\\\"name\\\":\\\"r\\\",\\\"kind\\\":\\\"relu\\\",\\\"options\\\":"
       "{\\\"slope\\\":0.5}}],\\\"nodes\\\":[{\\\"input\\\":[1],\\\"name\\\":\\\"in\\\"},"
       "{\\\"layer\\\":0,\\\"from\\\":[0]}]," FILE_END},
      {"unknown member \"layer\"", RELU_LAYER "\\\"nodes\\\":[{\\\"input\\\":[1],\\\"name\\\":\\\"in\\\",\\\"layer\\\":0,"
                                              "\\\"from\\\":[0]},{\\\"layer\\\":0,\\\"from\\\":[0]}]," FILE_END},
      {"at none",
       "\\\"layers\\\":[{\\\"name\\\":\\\"r\\\",\\\"kind\\\":\\\"relu\\\",\\\"options\\\":{}},{\\\"name\\\":\\\"s\\\","
       "\\\"kind\\\":\\\"relu\\\",\\\"options\\\":{}}],\\\"nodes\\\":[{\\\"input\\\":[1],\\\"name\\\":\\\"in\\\"},"
       "{\\\"layer\\\":0,\\\"from\\\":[0]}]," FILE_END},
      {"frozen", RELU_LAYER "\\\"nodes\\\":[{\\\"input\\\":[1],\\\"name\\\":\\\"in\\\"},{\\\"layer\\\":0,\\\"from\\\":[0]}],"
                            "\\\"inputs\\\":[0],\\\"outputs\\\":[1]}"},
      {"frozen", RELU_LAYER "\\\"nodes\\\":[{\\\"input\\\":[1],\\\"name\\\":\\\"in\\\"},{\\\"layer\\\":0,\\\"from\\\":[0]}],"
                            "\\\"inputs\\\":[0],\\\"outputs\\\":[1],\\\"frozen\\\":\\\"r\\\"}"},
      {"control characters", RELU_LAYER "\\\"nodes\\\":[{\\\"input\\\":[1],\\\"name\\\":\\\"i\\\\u0000n\\\"},"
                                        "{\\\"layer\\\":0,\\\"from\\\":[0]}]," FILE_END},
  };
  martlet_model *model;
  POISON(model);
  for (int i = 0; i < CHECK_COUNT(files); i++) {
    char text[2048];
    snprintf(text, sizeof text, FILE_START "%s", files[i][1]);
    write_architecture(path_of("nonsense"), text);
    CHECK_FAILS(STATUS(CORRUPT_FILE), files[i][0], martlet_model_load(&model, path_of("nonsense")));
  }
  UNWATCH_ALL();
}

/* ---- graphs --------------------------------------------------------------------------------------------------------- */

static void test_counts(void) {
  static martlet_node many[MARTLET_MAX_INPUTS + 1];
  const int64_t one[1] = {1};
  martlet_graph *graph = NULL;
  martlet_model *model = NULL;
  martlet_node input = -1, relu = -1, node = -1, out;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, one, &input));
  CHECK_OK(martlet_graph_activation(graph, "relu", input, MARTLET_RELU, &relu));
  for (int i = 0; i <= MARTLET_MAX_INPUTS; i++) many[i] = relu;
  CHECK_OK(martlet_graph_add(graph, "add", many, MARTLET_MAX_INPUTS, &node));
  CHECK_OK(martlet_graph_concatenate(graph, "concatenate", many, MARTLET_MAX_INPUTS, &node));
  POISON(out);
  POISON(model);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_graph_add(graph, "x", many, MARTLET_MAX_INPUTS + 1, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_graph_concatenate(graph, "x", many, MARTLET_MAX_INPUTS + 1, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_graph_apply(graph, relu, many, MARTLET_MAX_INPUTS + 1, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs",
              martlet_model_create(&model, graph, many, MARTLET_MAX_INPUTS + 1, &relu, 1, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "outputs",
              martlet_model_create(&model, graph, &input, 1, many, MARTLET_MAX_OUTPUTS + 1, 1));
  UNWATCH_ALL();
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, many, MARTLET_MAX_OUTPUTS, 1));
  CHECK_INT(MARTLET_MAX_OUTPUTS, martlet_model_output_count(model));
  martlet_model_destroy(model);

  for (int place = 1; place < MARTLET_MAX_PLACES; place++) CHECK_OK(martlet_graph_apply(graph, relu, &relu, 1, &node));
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "places", martlet_graph_apply(graph, relu, &relu, 1, &out));
  UNWATCH_ALL();
  for (int nodes = MARTLET_MAX_PLACES + 3; nodes < MARTLET_MAX_NODES; nodes++) {
    CHECK_OK(martlet_graph_activation(graph, NULL, input, MARTLET_TANH, &node));
  }
  CHECK_INT(MARTLET_MAX_NODES - 1, node);
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nodes", martlet_graph_activation(graph, NULL, input, MARTLET_TANH, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nodes", martlet_graph_input(graph, NULL, 1, one, &out));
  UNWATCH_ALL();
  martlet_graph_destroy(graph);
}

static void test_names(void) {
  static char longest[MARTLET_MAX_NAME_LENGTH + 2];
  const int64_t one[1] = {1};
  martlet_graph *graph = NULL;
  martlet_node input = -1, out;
  CHECK_OK(martlet_graph_create(&graph));
  memset(longest, 'x', MARTLET_MAX_NAME_LENGTH);
  CHECK_OK(martlet_graph_input(graph, longest, 1, one, &input));
  longest[MARTLET_MAX_NAME_LENGTH] = 'x';
  const char *const bad[] = {longest, "\n", "a\tb", "\x01", "\x7f", "\xc2\x85", "\xff", "\xc0\x80", "\xed\xa0\x80", "a\xc3"};
  POISON(out);
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_input(graph, bad[i], 1, one, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_activation(graph, bad[i], input, MARTLET_RELU, &out));
  }
  UNWATCH_ALL();
  martlet_graph_destroy(graph);
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

static void test_values_of_state(void) {
  martlet_model *model = make_model(7), *broken = make_model(8);
  const int64_t shape[1] = {NET_HIDDEN};
  double mean[NET_HIDDEN] = {0}, variance[NET_HIDDEN] = {1, 1, 1, 1, 1};
  int64_t count = -1;
  const martlet_array mean_array = array_of(mean, MARTLET_FLOAT64, 1, shape);
  const martlet_array variance_array = array_of(variance, MARTLET_FLOAT64, 1, shape);
  const martlet_array count_array = array_of(&count, MARTLET_INT64, 0, NULL);
  const char *const mean_name = "norm1.running_mean", *const variance_name = "norm1.running_var";
  const char *const count_name = "norm1.num_batches_tracked";
  watch_model(model);
  const double bad[] = {-0.5, -9e-6, NAN, INFINITY};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    variance[3] = bad[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "norm1.running_var: expected finite numbers of 0 or more",
                martlet_model_set_tensors(model, &variance_name, &variance_array, 1, 0));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "channel 3", martlet_model_set_tensors(model, &variance_name, &variance_array, 1, 0));
    mean[2] = bad[i];
    if (bad[i] < 0) continue;
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "in channel 2", martlet_model_set_tensors(model, &mean_name, &mean_array, 1, 0));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), count_name, martlet_model_set_tensors(model, &count_name, &count_array, 1, 0));

  /* Through a file: the memory itself takes everything. */
  ((float *)tensor_named(broken, variance_name).value.data)[1] = -1;
  CHECK_OK(martlet_model_save(broken, path_of("broken")));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), variance_name,
              martlet_model_load_weights(NULL, model, path_of("broken"), 1, MARTLET_FLATTEN_UNKNOWN));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), variance_name,
              martlet_model_load_weights(NULL, model, path_of("broken"), 0, MARTLET_FLATTEN_UNKNOWN));
  martlet_model *loaded;
  POISON(loaded);
  CHECK_FAILS(STATUS(CORRUPT_FILE), "got -1.0 in channel 1", martlet_model_load(&loaded, path_of("broken")));
  UNWATCH_ALL();
  martlet_model_destroy(broken);
  martlet_model_destroy(model);
}

static const check_test tests[] = {TEST(test_ranks_of_rows),  TEST(test_convolution_shape),
                                   TEST(test_ranks_of_files), TEST(test_nonsense_in_files),
                                   TEST(test_counts),         TEST(test_names),
                                   TEST(test_values_of_state)};

int main(int argc, char **argv) {
  if (mkdtemp(folder) == NULL) return 2;
  const int result = check_main(argc, argv, tests, CHECK_COUNT(tests));
  const char *const names[] = {"row", "nonsense", "broken"};
  for (int i = 0; i < CHECK_COUNT(names); i++) unlink(path_of(names[i]));
  rmdir(folder);
  return result;
}
