/* Models: made, shared, copied, described. */
#include "models.h"

static void test_create(void) {
  martlet_node input = -1, output = -1;
  martlet_graph *graph = make_graph(&input, &output, -1);
  martlet_model *out;
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_create(NULL, graph, &input, 1, &output, 1, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_model_create(&out, NULL, &input, 1, &output, 1, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_model_create(&out, graph, NULL, 1, &output, 1, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "outputs", martlet_model_create(&out, graph, &input, 1, NULL, 1, 0));
  const int32_t counts[] = {0, -1, INT32_MIN};
  for (int i = 0; i < CHECK_COUNT(counts); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_model_create(&out, graph, &input, counts[i], &output, 1, 0));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "output", martlet_model_create(&out, graph, &input, 1, &output, counts[i], 0));
  }
  const martlet_node nodes[] = {-1, 1000, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(nodes); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_model_create(&out, graph, &nodes[i], 1, &output, 1, 0));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "outputs", martlet_model_create(&out, graph, &input, 1, &nodes[i], 1, 0));
  }
  const martlet_node twice[2] = {input, input};
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_model_create(&out, graph, twice, 2, &output, 1, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_model_create(&out, graph, &output, 1, &output, 1, 0));
  /* An output that needs an input which is not given. */
  martlet_node other = -1, joined = -1;
  CHECK_OK(martlet_graph_input(graph, "other", 1, net_input_shape, &other));
  CHECK_OK(martlet_graph_activation(graph, "lone", other, MARTLET_TANH, &joined));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), NULL, martlet_model_create(&out, graph, &input, 1, &joined, 1, 0));
  martlet_graph_destroy(graph);
  martlet_model_destroy(NULL);
}

static void test_two_inputs_and_outputs(void) {
  martlet_graph *graph = NULL;
  martlet_node in[2] = {-1, -1}, out[2] = {-1, -1};
  const int64_t three[1] = {3}, image[2] = {2, 2};
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "left", 1, three, &in[0]));
  CHECK_OK(martlet_graph_input(graph, "right", 2, image, &in[1]));
  CHECK_OK(martlet_graph_activation(graph, "tanh", in[0], MARTLET_TANH, &out[0]));
  CHECK_OK(martlet_graph_flatten(graph, "flat", in[1], &out[1]));
  martlet_model *model = NULL;
  CHECK_OK(martlet_model_create(&model, graph, in, 2, out, 2, 0));
  martlet_graph_destroy(graph);
  CHECK_INT(2, martlet_model_input_count(model));
  CHECK_INT(2, martlet_model_output_count(model));
  martlet_view view;
  CHECK_OK(martlet_model_input_shape(model, 1, &view));
  CHECK_INT(2, view.rank);
  CHECK_INT(2, view.shape[1]);
  CHECK_OK(martlet_model_output_shape(model, 1, &view));
  CHECK_INT(1, view.rank);
  CHECK_INT(4, view.shape[0]);
  CHECK_INT(MARTLET_FLOAT32, view.dtype);
  CHECK(view.data == NULL);

  float left[6] = {0, 1, -1, 2, 0, 0}, right[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out_left[6], out_right[8];
  const int64_t left_shape[2] = {2, 3}, right_shape[3] = {2, 2, 2}, flat_shape[2] = {2, 4};
  const martlet_array inputs[2] = {floats_of(left, 2, left_shape), floats_of(right, 3, right_shape)};
  const martlet_array outputs[2] = {floats_of(out_left, 2, left_shape), floats_of(out_right, 2, flat_shape)};
  CHECK_OK(martlet_model_predict(model, inputs, 2, 0, outputs, 2));
  for (int i = 0; i < 6; i++) CHECK_CLOSE(tanh(left[i]), out_left[i], 4.0 / 16777216);
  for (int i = 0; i < 8; i++) CHECK_CLOSE(right[i], out_right[i], 0);
  /* Inputs with different numbers of rows. */
  martlet_array uneven[2];
  const int64_t one_row[3] = {1, 2, 2};
  uneven[0] = inputs[0];
  uneven[1] = floats_of(right, 3, one_row);
  POISON(out_left);
  POISON(out_right);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "inputs", martlet_model_predict(model, uneven, 2, 0, outputs, 2));
  martlet_model_destroy(model);
}

static void test_seed(void) {
  martlet_model *a = make_model(1), *b = make_model(1), *c = make_model(2);
  CHECK(model_fingerprint(a) == model_fingerprint(b));
  CHECK(model_fingerprint(a) != model_fingerprint(c));
  martlet_model_destroy(a);
  martlet_model_destroy(b);
  martlet_model_destroy(c);
}

static void test_clone_is_independent(void) {
  martlet_model *model = make_model(3), *copy = NULL;
  CHECK_OK(martlet_model_set_trainable(model, "dense1.weight", 0));
  CHECK_OK(martlet_model_clone(&copy, model));
  CHECK(model_fingerprint(model) == model_fingerprint(copy));
  CHECK_INT(0, tensor_named(copy, "dense1.weight").trainable);
  martlet_tensor_info mine = tensor_named(model, "dense1.weight"), other = tensor_named(copy, "dense1.weight");
  CHECK(mine.value.data != other.value.data);
  ((float *)other.value.data)[0] += 1;
  CHECK(model_fingerprint(model) != model_fingerprint(copy));
  martlet_model_destroy(model);
  ((float *)other.value.data)[0] += 1; /* the copy outlives the model */
  martlet_model_destroy(copy);

  martlet_model *out;
  model = make_model(3);
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_clone(NULL, model));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_clone(&out, NULL));
  martlet_model_destroy(model);
}

static void test_submodel_shares(void) {
  martlet_model *model = make_model(4), *out, *part = NULL;
  const char *const names[2] = {"norm1", "sigmoid1"}, *const unknown[1] = {"nobody"}, *const null_name[1] = {NULL};
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_create_submodel(NULL, model, names, 2));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_create_submodel(&out, NULL, names, 2));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "layer_names", martlet_model_create_submodel(&out, model, NULL, 2));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "layer_names", martlet_model_create_submodel(&out, model, null_name, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nobody", martlet_model_create_submodel(&out, model, unknown, 1));
  const int32_t counts[] = {0, -1, INT32_MIN};
  for (int i = 0; i < CHECK_COUNT(counts); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "layer_names", martlet_model_create_submodel(&out, model, names, counts[i]));
  }
  UNWATCH_ALL();
  CHECK_OK(martlet_model_create_submodel(&part, model, names, 2));
  CHECK_INT(2, martlet_model_output_count(part));
  martlet_view view;
  CHECK_OK(martlet_model_output_shape(part, 0, &view));
  CHECK_INT(NET_HIDDEN, view.shape[0]);
  CHECK(tensor_named(part, "norm1.weight").value.data == tensor_named(model, "norm1.weight").value.data);

  /* sigmoid1's output is the sigmoid of norm1's, and the part sees what the whole changes. */
  net_batch batch;
  make_batch(&batch, 5);
  float norm[NET_ROWS * NET_HIDDEN], sigmoid[NET_ROWS * NET_HIDDEN];
  const int64_t hidden[2] = {NET_ROWS, NET_HIDDEN};
  const martlet_array outputs[2] = {floats_of(norm, 2, hidden), floats_of(sigmoid, 2, hidden)};
  ((float *)tensor_named(model, "norm1.bias").value.data)[0] = 0.75f;
  CHECK_OK(martlet_model_predict(part, &batch.x_array, 1, 0, outputs, 2));
  for (int i = 0; i < NET_ROWS * NET_HIDDEN; i++) CHECK_CLOSE(1 / (1 + exp(-(double)norm[i])), sigmoid[i], 8.0 / 16777216);
  martlet_model_destroy(model);
  CHECK_OK(martlet_model_predict(part, &batch.x_array, 1, 0, outputs, 2)); /* the part keeps what it shares alive */
  martlet_model_destroy(part);
}

static void test_shapes_and_counts(void) {
  martlet_model *model = make_model(0);
  martlet_view view;
  POISON(view);
  const int32_t outside[] = {-1, 1, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(outside); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_model_input_shape(model, outside[i], &view));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_model_output_shape(model, outside[i], &view));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_input_shape(NULL, 0, &view));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_output_shape(NULL, 0, &view));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_input_shape(model, 0, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_output_shape(model, 0, NULL));
  UNWATCH_ALL();
  CHECK_INT(1, martlet_model_input_count(model));
  CHECK_INT(1, martlet_model_output_count(model));
  CHECK_OK(martlet_model_input_shape(model, 0, &view));
  CHECK_INT(NET_INPUTS, view.shape[0]);
  CHECK_OK(martlet_model_output_shape(model, 0, &view));
  CHECK_INT(NET_CLASSES, view.shape[0]);
  /* Counts have no status: of nothing there is nothing. */
  CHECK_INT(0, martlet_model_input_count(NULL));
  CHECK_INT(0, martlet_model_output_count(NULL));
  CHECK_INT(0, martlet_model_layer_count(NULL));
  CHECK_INT(0, martlet_model_tensor_count(NULL));
  martlet_model_destroy(model);
}

static void test_layers(void) {
  static const char *const names[] = {"dense1", "norm1", "sigmoid1", "dense2"};
  static const char *const kinds[] = {"dense", "batch_norm", "sigmoid", "dense"};
  static const int64_t parameters[] = {4 * 5 + 5, 5 + 5, 0, 5 * 3 + 3};
  martlet_model *model = make_model(0);
  martlet_layer_info info;
  CHECK_INT(4, martlet_model_layer_count(model));
  for (int i = 0; i < 4; i++) {
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    CHECK_OK(martlet_model_layer_at(model, i, &info));
    CHECK_TEXT(names[i], info.name);
    CHECK_TEXT(kinds[i], info.kind);
    CHECK_INT(parameters[i], info.parameter_count);
    CHECK(i == 1 ? info.state_count >= 2 * NET_HIDDEN : info.state_count == 0);
    CHECK_INT(1, info.output_rank);
    CHECK_INT(i == 3 ? NET_CLASSES : NET_HIDDEN, info.output_shape[0]);
    CHECK_INT(sizeof info, info.struct_size);
  }
  POISON(info);
  info.struct_size = sizeof info;
  WATCH(&info, sizeof info);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_layer_at(NULL, 0, &info));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "info", martlet_model_layer_at(model, 0, NULL));
  const int32_t outside[] = {-1, 4, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(outside); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_model_layer_at(model, outside[i], &info));
  }
  const size_t sizes[] = {0, 1, 7};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    info.struct_size = sizes[i];
    WATCH(&info, sizeof info);
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_model_layer_at(model, 0, &info));
  }
  martlet_model_destroy(model);
}

static martlet_status plan_text(const martlet_model *model, char *buffer, size_t capacity, size_t *out_length) {
  return martlet_model_plan(model, 8, 1, buffer, capacity, out_length);
}

/* The two functions that write text have one contract. */
static void check_text_function(martlet_status (*function)(const martlet_model *, char *, size_t, size_t *), const char *word) {
  martlet_model *model = make_model(0);
  size_t length = 0, again = 0;
  CHECK_OK(function(model, NULL, 0, &length));
  CHECK(length > 0);
  char *text = (char *)malloc(length + 1);
  if (text == NULL) exit(2);
  memset(text, 'z', length + 1);
  CHECK_OK(function(model, text, length, &again)); /* no room for the closing NUL: nothing is written */
  CHECK_INT(length, again);
  for (size_t i = 0; i <= length; i++) CHECK(text[i] == 'z');
  CHECK_OK(function(model, text, length + 1, &again));
  CHECK_INT(length, again);
  CHECK_INT(length, strlen(text));
  CHECK(strstr(text, word) != NULL);
  POISON(again);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", function(NULL, text, length + 1, &again));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out_length", function(model, text, length + 1, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "buffer", function(model, NULL, 10, &again));
  UNWATCH_ALL();
  free(text);
  martlet_model_destroy(model);
}

static void test_architecture(void) {
  check_text_function(martlet_model_architecture, "norm1");
}

static void test_plan(void) {
  check_text_function(plan_text, "dense");
  check_text_function(plan_text, "dense, moments");
  martlet_model *model = make_model(0);
  size_t length;
  POISON(length);
  const int64_t sizes[] = {-1, INT64_MIN, INT64_MAX, (int64_t)1 << 58};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    CHECK_FAILS(BAD_SHAPE | STATUS(OUT_OF_MEMORY), "batch", martlet_model_plan(model, sizes[i], 0, NULL, 0, &length));
  }
  UNWATCH_ALL();
  CHECK_OK(martlet_model_plan(model, 8, 0, NULL, 0, &length));
  martlet_model_destroy(model);
}

static const check_test tests[] = {TEST(test_create),
                                   TEST(test_two_inputs_and_outputs),
                                   TEST(test_seed),
                                   TEST(test_clone_is_independent),
                                   TEST(test_submodel_shares),
                                   TEST(test_shapes_and_counts),
                                   TEST(test_layers),
                                   TEST(test_architecture),
                                   TEST(test_plan)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
