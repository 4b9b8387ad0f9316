/* Batch norm's relatives where batch norm cannot be used: a network that learns from one row at a time, and plain functions.
 *
 *   cc normalizations.c -o normalizations $(pkg-config --cflags --libs martlet) -lm && ./normalizations
 */
#include <martlet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUTS = 6, TRAINING = 400, NEW = 200, COUNT = TRAINING + NEW };

static float x[COUNT][INPUTS];
static int32_t labels[COUNT];

static void check(martlet_status status) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "%s: %s\n", martlet_status_name(status), martlet_last_error_message());
  exit(1);
}

/* Three channels of four pixels each, very unlike in size: each alone is brought to mean 0 and deviation 1. */
static void normalize_an_image(void) {
  float image[4][3] = {{1e-3f, 1, 5000}, {3e-3f, 2, 5002}, {1e-3f, 2, 5000}, {3e-3f, 1, 5002}};
  const int64_t shape[3] = {1, 4, 3};
  const martlet_array array = {image, shape, NULL, 3, MARTLET_FLOAT32};
  martlet_normalization_options options = MARTLET_INSTANCE_NORM_INIT;
  options.epsilon = 1e-12;
  check(martlet_normalize(&options, &array, NULL, NULL, NULL, NULL, &array));
  for (int pixel = 0; pixel < 4; pixel++) {
    printf("%8.4f %8.4f %8.4f\n", image[pixel][0], image[pixel][1], image[pixel][2]);
    for (int channel = 0; channel < 3; channel++) {
      if (fabs(fabs(image[pixel][channel]) - 1) > 1e-4) exit(1);
    }
  }
}

int main(void) {
  normalize_an_image();
  uint64_t state = 1;
  for (int i = 0; i < COUNT; i++) {
    for (int k = 0; k < INPUTS; k++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      x[i][k] = (float)(state >> 40) / 8388608.0f - 1;
    }
    labels[i] = x[i][0] * x[i][1] > 0;
  }
  const int64_t row[1] = {INPUTS}, shape[2] = {TRAINING, INPUTS}, new_shape[2] = {NEW, INPUTS};
  const martlet_array inputs = {x, shape, NULL, 2, MARTLET_FLOAT32}, targets = {labels, shape, NULL, 1, MARTLET_INT32};
  const martlet_array new_inputs = {x[TRAINING], new_shape, NULL, 2, MARTLET_FLOAT32};
  const martlet_array new_targets = {labels + TRAINING, new_shape, NULL, 1, MARTLET_INT32};
  const martlet_normalization_options norms[3] = {MARTLET_LAYER_NORM_INIT, MARTLET_RMS_NORM_INIT, MARTLET_GROUP_NORM_INIT(4)};
  static const char *const names[3] = {"layer norm", "RMS norm", "group norm"};
  for (int i = 0; i < 3; i++) {
    martlet_graph *graph = NULL;
    martlet_node in = 0, h = 0;
    martlet_model *net = NULL;
    martlet_trainer *trainer = NULL;
    martlet_optimizer_options sgd = MARTLET_OPTIMIZER_OPTIONS_INIT;
    martlet_fit_options fit = MARTLET_FIT_OPTIONS_INIT;
    martlet_result result = {0, 0, 0};
    check(martlet_graph_create(&graph));
    check(martlet_graph_input(graph, NULL, 1, row, &in));
    check(martlet_graph_dense(graph, NULL, in, 32, NULL, &h));
    check(martlet_graph_normalization(graph, NULL, h, &norms[i], &h));
    check(martlet_graph_activation(graph, NULL, h, MARTLET_RELU, &h));
    check(martlet_graph_dense(graph, NULL, h, 2, NULL, &h));
    check(martlet_model_create(&net, graph, &in, 1, &h, 1, 7));
    sgd.learning_rate = 0.01;
    check(martlet_trainer_create(&trainer, net, MARTLET_LOSS_CROSS_ENTROPY, &sgd, 0));
    fit.epochs = 20;
    fit.batch_size = 1; /* batch norm would have one value a channel */
    check(martlet_trainer_fit(trainer, &inputs, 1, &targets, 1, &fit, NULL));
    check(martlet_trainer_evaluate(trainer, &new_inputs, 1, &new_targets, 1, 0, &result));
    printf("%-10s %d of %d new rows right\n", names[i], (int)result.correct, (int)result.rows);
    if (result.correct < NEW * 85 / 100) return 1;
    martlet_trainer_destroy(trainer);
    martlet_model_destroy(net);
    martlet_graph_destroy(graph);
  }
  return 0;
}
