/* Bars that lie and bars that stand, somewhere in a small picture of bytes: trained on random crops and flips of 60.
 *
 *   cc images.c -o images $(pkg-config --cflags --libs martlet) && ./images
 */
#include <martlet.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 12, LENGTH = 5, TRAINING = 60, NEW = 500, COUNT = TRAINING + NEW };

static uint8_t pixels[COUNT][SIDE][SIDE][1];
static int32_t kinds[COUNT];

static void check(martlet_status status) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "%s: %s\n", martlet_status_name(status), martlet_last_error_message());
  exit(1);
}

static int random_below(int count) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (int)((state >> 33) % (uint64_t)count);
}

static void draw(void) {
  for (int i = 0; i < COUNT; i++) {
    for (int place = 0; place < SIDE * SIDE; place++) pixels[i][place / SIDE][place % SIDE][0] = (uint8_t)random_below(100);
    const int across = random_below(SIDE), along = random_below(SIDE - LENGTH + 1);
    kinds[i] = random_below(2);
    for (int k = 0; k < LENGTH; k++) {
      if (kinds[i] == 0) pixels[i][across][along + k][0] = 255;
      if (kinds[i] == 1) pixels[i][along + k][across][0] = 255;
    }
  }
}

/* 12x12x1 -> flatten -> dense 64 -> batch norm -> ReLU -> dense 2 */
static martlet_model *make_network(void) {
  const int64_t picture[3] = {SIDE, SIDE, 1};
  martlet_graph *graph = NULL;
  martlet_node x = 0, h = 0;
  martlet_model *network = NULL;
  check(martlet_graph_create(&graph));
  check(martlet_graph_input(graph, "x", 3, picture, &x));
  check(martlet_graph_flatten(graph, NULL, x, &h));
  check(martlet_graph_dense(graph, NULL, h, 64, NULL, &h));
  check(martlet_graph_batch_norm(graph, NULL, h, NULL, &h));
  check(martlet_graph_activation(graph, NULL, h, MARTLET_RELU, &h));
  check(martlet_graph_dense(graph, NULL, h, 2, NULL, &h));
  check(martlet_model_create(&network, graph, &x, 1, &h, 1, 7));
  martlet_graph_destroy(graph);
  return network;
}

int main(void) {
  draw();
  const int64_t shape[4] = {TRAINING, SIDE, SIDE, 1}, new_shape[4] = {NEW, SIDE, SIDE, 1};
  const martlet_array x = {pixels, shape, NULL, 4, MARTLET_UINT8}, y = {kinds, shape, NULL, 1, MARTLET_INT32};
  const martlet_array new_x = {pixels[TRAINING], new_shape, NULL, 4, MARTLET_UINT8};
  const martlet_array new_y = {kinds + TRAINING, new_shape, NULL, 1, MARTLET_INT32};

  /* Of pixels in 0 ... 1, about what these pictures have. */
  const double mean = 0.22, deviation = 0.18;
  martlet_image_normalization normalization = MARTLET_IMAGE_NORMALIZATION_INIT;
  normalization.count = 1;
  normalization.mean = &mean;
  normalization.standard_deviation = &deviation;
  martlet_augmentation_options augmentation = MARTLET_AUGMENTATION_OPTIONS_INIT;
  augmentation.crop_padding = 4;
  augmentation.flip = 1;

  martlet_model *network = make_network();
  martlet_trainer *trainer = NULL;
  martlet_optimizer_options sgd = MARTLET_OPTIMIZER_OPTIONS_INIT;
  sgd.learning_rate = 0.05;
  sgd.momentum = 0.9;
  check(martlet_trainer_create(&trainer, network, MARTLET_LOSS_CROSS_ENTROPY, &sgd, 0));
  martlet_fit_options fit = MARTLET_FIT_OPTIONS_INIT;
  fit.epochs = 300;
  fit.batch_size = 20;
  fit.augmentation = &augmentation;
  fit.normalization = &normalization;
  check(martlet_trainer_fit(trainer, &x, 1, &y, 1, &fit, NULL));

  martlet_result result = {0, 0, 0};
  check(martlet_trainer_evaluate_normalized(trainer, &new_x, 1, &new_y, 1, 0, &normalization, &result));
  printf("%d of %d new pictures told apart\n", (int)result.correct, (int)result.rows);
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(network);
  return result.correct * 5 < result.rows * 4; /* fewer than four in five would be a defect */
}
