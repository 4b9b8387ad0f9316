/* Graphs: every layer, with right and wrong options. */
#include "arrays.h"

static const int64_t row4[1] = {4};

/* A graph with one input of four numbers: node 0. */
static martlet_graph *graph_of_four(martlet_node *input) {
  martlet_graph *graph = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, row4, input));
  return graph;
}

static void test_create(void) {
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_create(NULL));
  martlet_graph_destroy(NULL);
}

static void test_input(void) {
  martlet_node out, input;
  martlet_graph *graph = graph_of_four(&input);
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_input(NULL, "a", 1, row4, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "shape", martlet_graph_input(graph, "a", 1, NULL, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_input(graph, "a", 1, row4, NULL));
  const int32_t ranks[] = {-1, 17, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(ranks); i++) {
    CHECK_FAILS(BAD_SHAPE, "rank", martlet_graph_input(graph, "a", ranks[i], row4, &out));
  }
  const int64_t bad[][2] = {{-1, 2}, {2, -1}, {INT64_MAX, 1}, {INT64_MAX, INT64_MAX}, {(int64_t)1 << 32, (int64_t)1 << 32}};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    CHECK_FAILS(BAD_SHAPE, "shape", martlet_graph_input(graph, "a", 2, bad[i], &out));
  }
  /* One row has 15 axes at most: the batch axis makes 16. */
  const int64_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  CHECK_FAILS(BAD_SHAPE, "rank", martlet_graph_input(graph, "a", 16, ones, &out));
  UNWATCH_ALL();
  CHECK_OK(martlet_graph_input(graph, NULL, 15, ones, &out));
  CHECK_OK(martlet_graph_input(graph, "a", 1, row4, &out)); /* the refused calls did not take the name */
  martlet_graph_destroy(graph);
}

static void test_names(void) {
  martlet_node out, input;
  martlet_graph *graph = graph_of_four(&input);
  POISON(out);
  const char *const bad[] = {"", "a/b", "/", "in"};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_input(graph, bad[i], 1, row4, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_dense(graph, bad[i], input, 2, NULL, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_batch_norm(graph, bad[i], input, NULL, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_activation(graph, bad[i], input, MARTLET_TANH, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_softmax(graph, bad[i], input, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_dropout(graph, bad[i], input, 0.5, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_flatten(graph, bad[i], input, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_input_normalization(graph, bad[i], input, 0, &out));
  }
  martlet_graph_destroy(graph);
}

static void test_graph_node_and_out(void) {
  martlet_node out, input;
  martlet_graph *graph = graph_of_four(&input);
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_dense(NULL, "a", input, 2, NULL, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_batch_norm(NULL, "a", input, NULL, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_activation(NULL, "a", input, MARTLET_TANH, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_softmax(NULL, "a", input, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_dropout(NULL, "a", input, 0.5, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_flatten(NULL, "a", input, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_input_normalization(NULL, "a", input, 0, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_dense(graph, "a", input, 2, NULL, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_batch_norm(graph, "a", input, NULL, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_activation(graph, "a", input, MARTLET_TANH, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_softmax(graph, "a", input, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_dropout(graph, "a", input, 0.5, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_flatten(graph, "a", input, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_input_normalization(graph, "a", input, 0, NULL));
  const martlet_node nodes[] = {-1, 1, 1000, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(nodes); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_dense(graph, "a", nodes[i], 2, NULL, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_batch_norm(graph, "a", nodes[i], NULL, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_activation(graph, "a", nodes[i], MARTLET_TANH, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_softmax(graph, "a", nodes[i], &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_dropout(graph, "a", nodes[i], 0.5, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_flatten(graph, "a", nodes[i], &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_input_normalization(graph, "a", nodes[i], 0, &out));
  }
  UNWATCH_ALL();
  CHECK_OK(martlet_graph_dense(graph, "a", input, 2, NULL, &out)); /* none of the refused calls added a node */
  CHECK_INT(1, out);
  martlet_graph_destroy(graph);
}

/* struct_size: too short to hold the first field, zero, and from a future with more fields than this library knows. */
static const size_t bad_sizes[] = {0, 1, 4, (size_t)-1};

static void test_dense(void) {
  martlet_node out, input;
  martlet_graph *graph = graph_of_four(&input);
  POISON(out);
  const int64_t units[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 61};
  for (int i = 0; i < CHECK_COUNT(units); i++) {
    const char *word = units[i] <= 0 ? "units" : "shape"; /* the weight's, which overflows */
    CHECK_FAILS(BAD_SHAPE | STATUS(OUT_OF_MEMORY), word, martlet_graph_dense(graph, "a", input, units[i], NULL, &out));
  }
  martlet_dense_options options = MARTLET_DENSE_OPTIONS_INIT;
  for (int i = 0; i < CHECK_COUNT(bad_sizes); i++) {
    options.struct_size = bad_sizes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_graph_dense(graph, "a", input, 2, &options, &out));
  }
  const martlet_dense_options defaults = MARTLET_DENSE_OPTIONS_INIT;
  const int32_t kinds[] = {-1, 7, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(kinds); i++) {
    options = defaults;
    options.weight_initializer.kind = kinds[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "weight_initializer", martlet_graph_dense(graph, "a", input, 2, &options, &out));
    options = defaults;
    options.bias_initializer.kind = kinds[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "bias_initializer", martlet_graph_dense(graph, "a", input, 2, &options, &out));
  }
  const double values[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
  for (int i = 0; i < CHECK_COUNT(values); i++) {
    options = defaults;
    options.weight_initializer.kind = MARTLET_CONSTANT;
    options.weight_initializer.value = values[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), NULL, martlet_graph_dense(graph, "a", input, 2, &options, &out));
    options.weight_initializer.kind = MARTLET_NORMAL;
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), NULL, martlet_graph_dense(graph, "a", input, 2, &options, &out));
  }
  options = defaults;
  options.weight_initializer.kind = MARTLET_NORMAL;
  options.weight_initializer.value = -1; /* a deviation */
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), NULL, martlet_graph_dense(graph, "a", input, 2, &options, &out));
  UNWATCH_ALL();
  for (int32_t kind = MARTLET_GLOROT_UNIFORM; kind <= MARTLET_CONSTANT; kind++) {
    options = defaults;
    options.bias = kind % 2;
    options.weight_initializer.kind = kind;
    options.weight_initializer.value = 0.5;
    options.bias_initializer = options.weight_initializer;
    CHECK_OK(martlet_graph_dense(graph, NULL, input, 3, &options, &out));
  }
  martlet_graph_destroy(graph);
}

static void test_batch_norm(void) {
  martlet_node out, input;
  martlet_graph *graph = graph_of_four(&input);
  POISON(out);
  const martlet_batch_norm_options defaults = MARTLET_BATCH_NORM_OPTIONS_INIT;
  martlet_batch_norm_options options = defaults;
  for (int i = 0; i < CHECK_COUNT(bad_sizes); i++) {
    options.struct_size = bad_sizes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_graph_batch_norm(graph, "a", input, &options, &out));
  }
  const double epsilons[] = {0, -1e-5, (double)NAN, (double)INFINITY};
  for (int i = 0; i < CHECK_COUNT(epsilons); i++) {
    options = defaults;
    options.epsilon = epsilons[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "epsilon", martlet_graph_batch_norm(graph, "a", input, &options, &out));
  }
  const double momenta[] = {-0.1, 1.1, (double)NAN, (double)INFINITY, -(double)INFINITY};
  for (int i = 0; i < CHECK_COUNT(momenta); i++) {
    options = defaults;
    options.momentum = momenta[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "momentum", martlet_graph_batch_norm(graph, "a", input, &options, &out));
  }
  const int32_t normalizers[] = {-1, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(normalizers); i++) {
    options = defaults;
    options.normalize_with = normalizers[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "normalize_with", martlet_graph_batch_norm(graph, "a", input, &options, &out));
  }
  const int32_t policies[] = {-1, 3, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(policies); i++) {
    options = defaults;
    options.single_value = policies[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "single_value", martlet_graph_batch_norm(graph, "a", input, &options, &out));
    options = defaults;
    options.debiased = policies[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "debiased", martlet_graph_batch_norm(graph, "a", input, &options, &out));
    /* A struct of an older header ends before these fields: they are not looked at. */
    options.struct_size = offsetof(martlet_batch_norm_options, debiased);
    options.single_value = policies[i];
    UNWATCH_ALL();
    CHECK_OK(martlet_graph_batch_norm(graph, NULL, input, &options, &out));
    POISON(out);
    options.struct_size--;
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_graph_batch_norm(graph, "a", input, &options, &out));
  }
  UNWATCH_ALL();
  for (int bits = 0; bits < 128; bits++) {
    options = defaults;
    options.debiased = bits % 2;
    options.single_value = bits % 3;
    options.momentum = bits & 1 ? 0 : 1;
    options.cumulative = bits & 1;
    options.scale = (bits >> 1) & 1;
    options.shift = (bits >> 2) & 1;
    options.biased_moving_variance = (bits >> 3) & 1;
    options.count_nonfinite_batches = (bits >> 4) & 1;
    options.normalize_with = (bits >> 5) & 1;
    options.updates_moving = options.trains_scale_shift = (bits >> 6) & 1;
    CHECK_OK(martlet_graph_batch_norm(graph, NULL, input, &options, &out));
  }
  martlet_node scalar;
  CHECK_OK(martlet_graph_input(graph, "scalar", 0, NULL, &scalar)); /* [rows]: no channel axis */
  POISON(out);
  CHECK_FAILS(BAD_SHAPE, NULL, martlet_graph_batch_norm(graph, "a", scalar, NULL, &out));
  CHECK_FAILS(BAD_SHAPE, NULL, martlet_graph_dense(graph, "a", scalar, 2, NULL, &out));
  martlet_graph_destroy(graph);
}

static void test_other_layers(void) {
  martlet_node out, input, image;
  martlet_graph *graph = graph_of_four(&input);
  const int64_t shape[3] = {2, 3, 4};
  CHECK_OK(martlet_graph_input(graph, "image", 3, shape, &image));
  POISON(out);
  const int32_t activations[] = {-1, 4, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(activations); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "activation", martlet_graph_activation(graph, "a", input, activations[i], &out));
  }
  const double rates[] = {-0.1, 1, 1.5, (double)NAN, (double)INFINITY, -(double)INFINITY};
  for (int i = 0; i < CHECK_COUNT(rates); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "rate", martlet_graph_dropout(graph, "a", input, rates[i], &out));
  }
  const double epsilons[] = {-1e-5, (double)NAN, (double)INFINITY};
  for (int i = 0; i < CHECK_COUNT(epsilons); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "epsilon", martlet_graph_input_normalization(graph, "a", input, epsilons[i], &out));
  }
  /* Dense takes rows of numbers; an image wants flattening first, and the message may say so. */
  CHECK_FAILS(BAD_SHAPE, NULL, martlet_graph_dense(graph, "a", image, 2, NULL, &out));
  UNWATCH_ALL();
  for (int32_t activation = MARTLET_SIGMOID; activation <= MARTLET_RELU; activation++) {
    CHECK_OK(martlet_graph_activation(graph, NULL, input, activation, &out));
  }
  CHECK_OK(martlet_graph_softmax(graph, NULL, input, &out));
  CHECK_OK(martlet_graph_dropout(graph, NULL, input, 0, &out));
  CHECK_OK(martlet_graph_dropout(graph, NULL, input, 0.99, &out));
  CHECK_OK(martlet_graph_input_normalization(graph, NULL, input, 0, &out));
  CHECK_OK(martlet_graph_batch_norm(graph, NULL, image, NULL, &out));
  CHECK_OK(martlet_graph_flatten(graph, NULL, out, &out));
  CHECK_OK(martlet_graph_dense(graph, NULL, out, 2, NULL, &out));
  martlet_graph_destroy(graph);
}

/* Fields are only ever appended: a program built against a newer header passes a longer struct. Zeros in its tail mean "as
 * before"; anything else asks for what this library does not know. */
static void test_longer_options(void) {
  martlet_node out, input;
  martlet_graph *graph = graph_of_four(&input);
  struct {
    martlet_dense_options known;
    int64_t appended[2];
  } longer;
  const martlet_dense_options defaults = MARTLET_DENSE_OPTIONS_INIT;
  memset(&longer, 0, sizeof longer);
  longer.known = defaults;
  longer.known.struct_size = sizeof longer;
  CHECK_OK(martlet_graph_dense(graph, NULL, input, 2, &longer.known, &out));
  longer.appended[1] = 1;
  POISON(out);
  CHECK_FAILS(STATUS(UNSUPPORTED) | STATUS(INVALID_ARGUMENT), "options",
              martlet_graph_dense(graph, NULL, input, 2, &longer.known, &out));
  martlet_graph_destroy(graph);
}

static const check_test tests[] = {
    TEST(test_create), TEST(test_input),      TEST(test_names),        TEST(test_graph_node_and_out),
    TEST(test_dense),  TEST(test_batch_norm), TEST(test_other_layers), TEST(test_longer_options)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
