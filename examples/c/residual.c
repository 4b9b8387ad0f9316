/* A small residual network reads handwritten digits of 8 x 8 pixels, which stay bytes in memory.
 *
 *   cc residual.c -o residual $(pkg-config --cflags --libs martlet) && ./residual ../data/digits.csv
 */
#include <martlet.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 10, ROWS = 599, TRAINING_ROWS = 499, FILTERS = 16 };

static uint8_t pixels[ROWS * PIXELS];
static int32_t digits[ROWS];

static void check(martlet_status status) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "%s: %s\n", martlet_status_name(status), martlet_last_error_message());
  exit(1);
}

/* A row: 64 numbers and the digit, with commas between. */
static void read_digits(const char *path) {
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    perror(path);
    exit(1);
  }
  for (int i = 0; i < ROWS * (PIXELS + 1); i++) {
    const int row = i / (PIXELS + 1), column = i % (PIXELS + 1);
    int value = 0;
    if (fscanf(file, column < PIXELS ? "%d," : "%d", &value) != 1) {
      fprintf(stderr, "%s: row %d ends early\n", path, row + 1);
      exit(1);
    }
    if (column < PIXELS) pixels[row * PIXELS + column] = (uint8_t)value;
    if (column == PIXELS) digits[row] = value;
  }
  fclose(file);
}

/* Convolution 3 x 3 -> batch norm, which makes the convolution's bias useless: the recipe drops it. */
static martlet_node convolution(martlet_graph *graph, martlet_node x) {
  martlet_convolution_options options = MARTLET_CONVOLUTION_OPTIONS_INIT;
  options.padding = MARTLET_PADDING_SAME;
  /* What these narrow layers take by themselves; from 32 channels on MARTLET_CONVOLUTION_AUTOMATIC is Winograd's algorithm. */
  options.algorithm = MARTLET_CONVOLUTION_DIRECT;
  check(martlet_graph_conv2d(graph, NULL, x, FILTERS, 3, 3, &options, &x));
  check(martlet_graph_batch_norm(graph, NULL, x, NULL, &x));
  return x;
}

static martlet_node relu(martlet_graph *graph, martlet_node x) {
  check(martlet_graph_activation(graph, NULL, x, MARTLET_RELU, &x));
  return x;
}

/* Two convolutions, and around them a way that skips both. */
static martlet_node block(martlet_graph *graph, martlet_node x) {
  martlet_node branches[2], sum;
  branches[0] = convolution(graph, relu(graph, convolution(graph, x)));
  branches[1] = x;
  check(martlet_graph_add(graph, NULL, branches, 2, &sum));
  return relu(graph, sum);
}

static martlet_model *make_network(void) {
  const int64_t image[3] = {SIDE, SIDE, 1};
  martlet_graph *graph = NULL;
  martlet_node x = 0, h = 0;
  martlet_model *network = NULL;
  check(martlet_graph_create(&graph));
  check(martlet_graph_input(graph, "pixels", 3, image, &x));
  check(martlet_graph_input_normalization(graph, NULL, x, 1, &h));
  h = block(graph, relu(graph, convolution(graph, h)));
  check(martlet_graph_max_pool2d(graph, NULL, h, 2, 2, NULL, &h));
  h = block(graph, h);
  check(martlet_graph_global_avg_pool2d(graph, NULL, h, &h));
  check(martlet_graph_dense(graph, NULL, h, CLASSES, NULL, &h));
  int32_t without_bias = 0, zero_scales = 0;
  check(martlet_graph_apply_residual_recipe(graph, &without_bias, &zero_scales));
  printf("%d convolutions without a bias, %d blocks that start as their shortcut\n", (int)without_bias, (int)zero_scales);
  check(martlet_model_create(&network, graph, &x, 1, &h, 1, 1));
  martlet_graph_destroy(graph);
  return network;
}

int main(int argc, char **argv) {
  read_digits(argc > 1 ? argv[1] : "examples/data/digits.csv");
  const int64_t train_shape[4] = {TRAINING_ROWS, SIDE, SIDE, 1}, test_shape[4] = {ROWS - TRAINING_ROWS, SIDE, SIDE, 1};
  const martlet_array train_x = {pixels, train_shape, NULL, 4, MARTLET_UINT8};
  const martlet_array train_y = {digits, train_shape, NULL, 1, MARTLET_INT32};
  const martlet_array test_x = {pixels + TRAINING_ROWS * PIXELS, test_shape, NULL, 4, MARTLET_UINT8};
  const martlet_array test_y = {digits + TRAINING_ROWS, test_shape, NULL, 1, MARTLET_INT32};

  martlet_model *network = make_network();
  check(martlet_model_fit_input_normalization(network, &train_x, 1, 0));

  martlet_trainer *trainer = NULL;
  martlet_optimizer_options adam = MARTLET_OPTIMIZER_OPTIONS_INIT;
  martlet_fit_options fit = MARTLET_FIT_OPTIONS_INIT;
  martlet_result result = {0, 0, 0};
  adam.kind = MARTLET_ADAM;
  adam.learning_rate = 0.005;
  fit.epochs = 12;
  fit.batch_size = 50;
  check(martlet_trainer_create(&trainer, network, MARTLET_LOSS_CROSS_ENTROPY, &adam, 1));
  check(martlet_trainer_fit(trainer, &train_x, 1, &train_y, 1, &fit, NULL));
  check(martlet_model_update_population_statistics(network, &train_x, 1, 0));
  check(martlet_trainer_evaluate(trainer, &test_x, 1, &test_y, 1, 0, &result));
  printf("reads %d of %d new digits right\n", (int)result.correct, (int)result.rows);
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(network);
  return result.correct * 10 < result.rows * 9; /* fewer than nine in ten would be a defect */
}
