/* Numbers and sizes that do not fit: measured at their own precision, or refused with everything as it was. */
#include "models.h"

enum { ROWS = 4 };
static const int64_t column[2] = {ROWS, 1};
static const int64_t one[1] = {1};

/* 0, 1, 2, 3 beside a number far from zero: mean 1.5 and variance 1.25. */
static void test_statistics_keep_the_precision_of_the_source(void) {
  double doubles[ROWS];
  int64_t longs[ROWS];
  int32_t ints[ROWS];
  for (int i = 0; i < ROWS; i++) {
    doubles[i] = 1.7e9 + i;
    longs[i] = INT64_C(1700000000000000000) + i;
    ints[i] = 16777216 + i;
  }
  const struct {
    martlet_array x;
    double base;
  } cases[] = {{array_of(doubles, MARTLET_FLOAT64, 2, column), 1.7e9},
               {array_of(longs, MARTLET_INT64, 2, column), 1.7e18},
               {array_of(ints, MARTLET_INT32, 2, column), 16777216}};
  for (int i = 0; i < CHECK_COUNT(cases); i++) {
    double mean = 0, variance = 0;
    float y[ROWS];
    const martlet_array mean_array = array_of(&mean, MARTLET_FLOAT64, 1, one);
    const martlet_array variance_array = array_of(&variance, MARTLET_FLOAT64, 1, one);
    const martlet_array y_array = floats_of(y, 2, column);
    martlet_statistics *statistics = NULL;
    CHECK_OK(martlet_statistics_create(&statistics, 1));
    CHECK_OK(martlet_statistics_add(statistics, &cases[i].x, -1));
    CHECK_OK(martlet_statistics_read(statistics, 0, &mean_array, &variance_array, NULL));
    CHECK_CLOSE(cases[i].base + 1.5, mean, 0);
    CHECK_CLOSE(1.25, variance, 0);
    martlet_statistics_destroy(statistics);
    CHECK_OK(martlet_batch_norm(&cases[i].x, -1, 1e-9, MARTLET_IDENTITY, NULL, NULL, NULL, NULL, &y_array, &mean_array,
                                &variance_array));
    for (int row = 0; row < ROWS; row++) CHECK_CLOSE((row - 1.5) / sqrt(1.25), y[row], 1e-6);
    CHECK_CLOSE(1.25, variance, 0);
  }
}

static void test_input_normalization_reads_the_source(void) {
  double seconds[ROWS];
  float y[ROWS];
  for (int i = 0; i < ROWS; i++) seconds[i] = 1.7e9 + i;
  const martlet_array x_array = array_of(seconds, MARTLET_FLOAT64, 2, column);
  const martlet_array y_array = floats_of(y, 2, column);
  martlet_graph *graph = NULL;
  martlet_node input = -1, output = -1;
  martlet_model *model = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, one, &input));
  CHECK_OK(martlet_graph_input_normalization(graph, "norm", input, 0, &output));
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 0));
  martlet_graph_destroy(graph);
  CHECK_OK(martlet_model_fit_input_normalization(model, &x_array, 1, 0));
  CHECK_OK(martlet_model_predict(model, &x_array, 1, 3, &y_array, 1));
  for (int row = 0; row < ROWS; row++) CHECK_CLOSE((row - 1.5) / sqrt(1.25), y[row], 1e-6);
  martlet_model_destroy(model);
}

static void test_numbers_beyond_float32_are_refused(void) {
  net_batch batch;
  make_batch(&batch, 3);
  double x[NET_ROWS * NET_INPUTS];
  for (int i = 0; i < NET_ROWS * NET_INPUTS; i++) x[i] = batch.x[i];
  x[NET_ROWS * NET_INPUTS - 1] = -1e39;
  const martlet_array big = array_of(x, MARTLET_FLOAT64, 2, net_batch_shape);
  martlet_model *model = make_model(4);
  martlet_trainer *trainer = NULL;
  martlet_tensor *tensor = NULL;
  CHECK_OK(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
  watch_model(model);
  WATCH(batch.out, sizeof batch.out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "got -1e+39 at [5, 3]", martlet_model_predict(model, &big, 1, 1, &batch.out_array, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "got -1e+39 at [5, 3]", martlet_model_forward(model, &big, 1, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs[0]: expected",
              martlet_trainer_step(trainer, &big, 1, &batch.label_array, 1, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs[0]: expected",
              martlet_trainer_fit(trainer, &big, 1, &batch.label_array, 1, NULL, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "source: expected", martlet_tensor_create(&tensor, &big));
  const int64_t bias_shape[1] = {NET_HIDDEN};
  const char *names[2] = {"norm1.bias", "dense1.bias"};
  const martlet_array values[2] = {array_of(x, MARTLET_FLOAT64, 1, bias_shape),
                                   array_of(x + NET_ROWS * NET_INPUTS - NET_HIDDEN, MARTLET_FLOAT64, 1, bias_shape)};
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "dense1.bias: expected", martlet_model_set_tensors(model, names, values, 2, 0));
  UNWATCH_ALL();
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);

  /* Statistics of such numbers are float64; memory of float32 cannot take them. */
  double pair[2] = {1e39, 3e39}, mean = 0, variance = 0;
  float small_mean = 0, small_variance = 0;
  const int64_t pair_shape[2] = {2, 1};
  const martlet_array pairs = array_of(pair, MARTLET_FLOAT64, 2, pair_shape);
  const martlet_array mean_array = array_of(&mean, MARTLET_FLOAT64, 1, one);
  const martlet_array variance_array = array_of(&variance, MARTLET_FLOAT64, 1, one);
  const martlet_array small_means = floats_of(&small_mean, 1, one), small_variances = floats_of(&small_variance, 1, one);
  martlet_statistics *statistics = NULL;
  CHECK_OK(martlet_statistics_create(&statistics, 1));
  CHECK_OK(martlet_statistics_add(statistics, &pairs, -1));
  CHECK_OK(martlet_statistics_read(statistics, 0, &mean_array, &variance_array, NULL));
  CHECK_CLOSE(2e39, mean, 1e24);
  CHECK_CLOSE(1e78, variance, 1e63);
  WATCH(&mean, sizeof mean);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "variance: expected",
              martlet_statistics_read(statistics, 0, &mean_array, &small_variances, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "mean: expected",
              martlet_statistics_read(statistics, 0, &small_means, &variance_array, NULL));
  UNWATCH_ALL();
  martlet_statistics_destroy(statistics);
}

/* A convolution, a pooling and rows without values, planned for batches that no memory holds. */
static void test_plans_of_any_size(void) {
  const int64_t image[3] = {8, 8, 3}, nothing[1] = {0};
  martlet_graph *graph = NULL;
  martlet_node in = -1, empty = -1, node = -1, other = -1;
  martlet_model *model = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 3, image, &in));
  CHECK_OK(martlet_graph_input(graph, "empty", 1, nothing, &empty));
  CHECK_OK(martlet_graph_conv2d(graph, "conv", in, 4, 3, 3, NULL, &node));
  CHECK_OK(martlet_graph_batch_norm(graph, "norm", node, NULL, &node));
  CHECK_OK(martlet_graph_activation(graph, "relu", empty, MARTLET_RELU, &other));
  const martlet_node inputs[2] = {in, empty}, outputs[2] = {node, other};
  CHECK_OK(martlet_model_create(&model, graph, inputs, 2, outputs, 2, 0));
  martlet_graph_destroy(graph);
  char text[16384];
  size_t length = 0;
  for (int training = 0; training <= 1; training++) {
    CHECK_OK(martlet_model_plan(model, 1 << 20, training, text, sizeof text, &length));
    for (int bits = 45; bits < 63; bits++) {
      CHECK_FAILS(STATUS(SHAPE_MISMATCH), "smaller batch",
                  martlet_model_plan(model, INT64_C(1) << bits, training, text, sizeof text, &length));
    }
    CHECK_FAILS(STATUS(SHAPE_MISMATCH), "smaller batch",
                martlet_model_plan(model, INT64_MAX, training, text, sizeof text, &length));
  }
  martlet_model_destroy(model);
}

/* In half precision weights of any size keep 11 bits; what they cannot be kept in, the plan says. */
static void test_half_precision_of_any_size(void) {
  const float sizes[] = {1e-30f, 1e-7f, 1, 1e5f, 1e30f, INFINITY};
  const int64_t in[1] = {2}, x_shape[2] = {1, 2}, y_shape[2] = {1, 1}, weight_shape[2] = {1, 2};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    martlet_graph *graph = NULL;
    martlet_node input = -1, output = -1;
    martlet_model *model = NULL;
    CHECK_OK(martlet_graph_create(&graph));
    CHECK_OK(martlet_graph_input(graph, "in", 1, in, &input));
    CHECK_OK(martlet_graph_dense(graph, "dense", input, 1, NULL, &output));
    CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 0));
    martlet_graph_destroy(graph);
    float weight[2] = {sizes[i] * 1.2345f, sizes[i] * 0.0321f}, x[2] = {1, -2}, y = 0;
    const char *name = "dense.weight";
    const martlet_array weights = floats_of(weight, 2, weight_shape);
    const martlet_array x_array = floats_of(x, 2, x_shape), y_array = floats_of(&y, 2, y_shape);
    CHECK_OK(martlet_model_set_tensors(model, &name, &weights, 1, 0));
    CHECK_OK(martlet_model_set_inference_weights(model, MARTLET_INFERENCE_FLOAT16));
    CHECK_OK(martlet_model_predict(model, &x_array, 1, 0, &y_array, 1));
    char text[4096];
    size_t length = 0;
    CHECK_OK(martlet_model_plan(model, 1, 0, text, sizeof text, &length));
    CHECK(strstr(text, isinf(sizes[i]) ? "dense, float32 weights" : "dense, float16 weights") != NULL);
    if (!isinf(sizes[i])) CHECK_CLOSE(1.2345 - 2 * 0.0321, y / sizes[i], (1.2345 + 2 * 0.0321) / 2048);
    martlet_model_destroy(model);
  }
}

/* What an all-reduce returns in place of the sums, from its nth call on. */
typedef struct liar {
  double value;
  int first, calls;
} liar;

static int32_t lie(double *sums, int64_t count, void *payload) {
  liar *self = (liar *)payload;
  if (self->calls++ < self->first) return 0;
  for (int64_t i = 0; i < count; i++) sums[i] = self->value;
  return 0;
}

static void test_all_reduces_that_do_not_sum(void) {
  net_batch batch;
  make_batch(&batch, 6);
  const double values[] = {NAN, INFINITY, -INFINITY, 1e300, 9007199254740994.0, -1, 0, 2.5, NET_ROWS - 1};
  for (int first = 0; first < 2; first++) {
    for (int i = 0; i < CHECK_COUNT(values); i++) {
      liar self = {values[i], first, 0};
      martlet_model *model = make_model(4);
      martlet_trainer *trainer = NULL;
      CHECK_OK(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
      CHECK_OK(martlet_model_set_all_reduce(model, lie, &self));
      watch_model(model);
      CHECK_FAILS(STATUS(INVALID_ARGUMENT), "all_reduce: expected the sum",
                  martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, NULL));
      self.calls = 1;
      CHECK_FAILS(STATUS(INVALID_ARGUMENT), "values per channel", martlet_model_forward(model, &batch.x_array, 1, 1));
      UNWATCH_ALL();
      martlet_trainer_destroy(trainer);
      martlet_model_destroy(model);
    }
  }
}

static const check_test tests[] = {TEST(test_statistics_keep_the_precision_of_the_source),
                                   TEST(test_input_normalization_reads_the_source),
                                   TEST(test_numbers_beyond_float32_are_refused),
                                   TEST(test_plans_of_any_size),
                                   TEST(test_half_precision_of_any_size),
                                   TEST(test_all_reduces_that_do_not_sum)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
