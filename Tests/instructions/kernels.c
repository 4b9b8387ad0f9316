/* kernels.c: small fixed pieces of work, whose instructions scripts/check-instruction-counts has callgrind count.
 *
 *   kernels          runs each once and prints its name, in the order in which callgrind writes its dumps
 *
 * Each runs before it is counted: first uses look up types and make plans. Sizes are such that the loops, not the calls around
 * them, are most of a count.
 */
#include "../c/models.h"

enum {
  ROWS = 60,
  INPUTS = 128,
  HIDDEN = 64,
  CLASSES = 10,
  SIDE = 128,            /* of the matrices multiplied */
  VALUES = 256,          /* a channel, of the batch that is normalised */
  CHANNELS = 64,         /* of it */
  PARAMETERS = 128 * 128 /* of the layer that Adam updates */
};

typedef struct fixture {
  float x[ROWS * INPUTS], normalized[VALUES * CHANNELS], gradient[VALUES * CHANNELS], values[VALUES * CHANNELS];
  float grad_scale[CHANNELS], grad_shift[CHANNELS], scale[CHANNELS], row[CLASSES];
  double mean[CHANNELS], variance[CHANNELS];
  int64_t labels[VALUES];
  martlet_array x_array, one_row, row_output, step_labels, batch, batch_output, batch_gradient, batch_labels;
  martlet_array channel_scale, channel_mean, channel_variance, channel_grad_scale, channel_grad_shift;
  martlet_model *net, *layer;
  martlet_trainer *trainer;
  martlet_optimizer *adam;
  martlet_tensor *square, *many;
} fixture;

static fixture all; /* static: too large for some stacks, and always at the same alignment */

static void train_step(void) {
  CHECK_OK(martlet_trainer_step(all.trainer, &all.x_array, 1, &all.step_labels, 1, NULL));
}

static void predict_row(void) {
  CHECK_OK(martlet_model_predict(all.net, &all.one_row, 1, 0, &all.row_output, 1));
}

static void matrix_product(void) {
  martlet_tensor *product = NULL;
  CHECK_OK(martlet_tensor_matmul(&product, all.square, all.square, 0, 0));
  martlet_tensor_destroy(product);
}

static void normalize(int32_t activation) {
  CHECK_OK(martlet_batch_norm(&all.batch, -1, 1e-5, activation, &all.channel_scale, &all.channel_scale, NULL, NULL,
                              &all.batch_output, &all.channel_mean, &all.channel_variance));
}

/* Of the forward pass before it in the table of kernels. */
static void gradients(int32_t activation) {
  CHECK_OK(martlet_batch_norm_gradients(&all.batch, -1, 1e-5, activation, &all.channel_scale, &all.channel_scale,
                                        &all.channel_mean, &all.channel_variance, 0, &all.batch, &all.batch_output,
                                        &all.batch_gradient, &all.channel_grad_scale, &all.channel_grad_shift));
}

static void batch_norm(void) {
  normalize(MARTLET_IDENTITY);
}
static void batch_norm_gradients(void) {
  gradients(MARTLET_IDENTITY);
}
static void batch_norm_relu(void) {
  normalize(MARTLET_RELU);
}
static void batch_norm_relu_gradients(void) {
  gradients(MARTLET_RELU);
}

static void cross_entropy(void) {
  double loss = 0;
  CHECK_OK(martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &all.batch, &all.batch_labels, &loss, NULL, &all.batch_gradient));
}

static void sigmoid(void) {
  martlet_tensor *result = NULL;
  CHECK_OK(martlet_tensor_activation(&result, MARTLET_SIGMOID, all.many));
  martlet_tensor_destroy(result);
}

static void adam_step(void) {
  CHECK_OK(martlet_optimizer_step(all.adam));
}

static const check_test kernels[] = {TEST(train_step),
                                     TEST(predict_row),
                                     TEST(matrix_product),
                                     TEST(batch_norm),
                                     TEST(batch_norm_gradients),
                                     TEST(batch_norm_relu),
                                     TEST(batch_norm_relu_gradients),
                                     TEST(cross_entropy),
                                     TEST(sigmoid),
                                     TEST(adam_step)};

/* callgrind counts inside this function only, and writes a dump whenever it returns. */
#if defined(__GNUC__)
__attribute__((noinline))
#endif
void measured(void (*work)(void));
void measured(void (*work)(void)) {
  work();
}

/* inputs -> dense (hidden) -> batch norm -> sigmoid -> dense (classes); or, if hidden is 0, inputs -> dense (classes) alone. */
static martlet_model *make_net(int64_t inputs, int64_t hidden, int64_t classes) {
  martlet_graph *graph = NULL;
  martlet_model *model = NULL;
  martlet_node input = -1, node = -1;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, &inputs, &input));
  node = input;
  if (hidden > 0) {
    CHECK_OK(martlet_graph_dense(graph, "dense1", node, hidden, NULL, &node));
    CHECK_OK(martlet_graph_batch_norm(graph, "norm1", node, NULL, &node));
    CHECK_OK(martlet_graph_activation(graph, "sigmoid1", node, MARTLET_SIGMOID, &node));
  }
  CHECK_OK(martlet_graph_dense(graph, "dense2", node, classes, NULL, &node));
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &node, 1, 7));
  martlet_graph_destroy(graph);
  return model;
}

static void describe(void) {
  static const int64_t x_shape[2] = {ROWS, INPUTS}, row_shape[2] = {1, INPUTS}, out_shape[2] = {1, CLASSES};
  static const int64_t rows[1] = {ROWS}, batch[2] = {VALUES, CHANNELS}, values[1] = {VALUES}, channels[1] = {CHANNELS};
  fill(all.x, ROWS * INPUTS, 1);
  fill(all.values, VALUES * CHANNELS, 2);
  fill(all.scale, CHANNELS, 3);
  for (int i = 0; i < VALUES; i++) all.labels[i] = i % CLASSES;
  all.x_array = floats_of(all.x, 2, x_shape);
  all.one_row = floats_of(all.x, 2, row_shape);
  all.row_output = floats_of(all.row, 2, out_shape);
  all.step_labels = array_of(all.labels, MARTLET_INT64, 1, rows);
  all.batch = floats_of(all.values, 2, batch);
  all.batch_output = floats_of(all.normalized, 2, batch);
  all.batch_gradient = floats_of(all.gradient, 2, batch);
  all.batch_labels = array_of(all.labels, MARTLET_INT64, 1, values);
  all.channel_scale = floats_of(all.scale, 1, channels);
  all.channel_grad_scale = floats_of(all.grad_scale, 1, channels);
  all.channel_grad_shift = floats_of(all.grad_shift, 1, channels);
  all.channel_mean = array_of(all.mean, MARTLET_FLOAT64, 1, channels);
  all.channel_variance = array_of(all.variance, MARTLET_FLOAT64, 1, channels);
}

static void build(void) {
  static const int64_t square[2] = {SIDE, SIDE}, many[1] = {PARAMETERS};
  martlet_optimizer_options options = MARTLET_OPTIMIZER_OPTIONS_INIT;
  all.net = make_net(INPUTS, HIDDEN, CLASSES);
  all.layer = make_net(128, 0, 128);
  CHECK_OK(martlet_trainer_create(&all.trainer, all.net, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
  options.kind = MARTLET_ADAM;
  CHECK_OK(martlet_optimizer_create(&all.adam, all.layer, &options));
  CHECK_OK(martlet_tensor_create_filled(&all.square, 2, square, 0.5f));
  CHECK_OK(martlet_tensor_create_filled(&all.many, 1, many, 0.5f));
}

static void destroy(void) {
  martlet_tensor_destroy(all.square);
  martlet_tensor_destroy(all.many);
  martlet_optimizer_destroy(all.adam);
  martlet_trainer_destroy(all.trainer);
  martlet_model_destroy(all.layer);
  martlet_model_destroy(all.net);
}

int main(void) {
  CHECK_OK(martlet_set_num_threads(1));
  describe();
  build();
  for (int i = 0; i < CHECK_COUNT(kernels); i++) {
    kernels[i].run();
    kernels[i].run();
    measured(kernels[i].run);
    puts(kernels[i].name);
  }
  destroy();
  return check_state.failures != 0;
}
