/* Reads handwritten digits, trains a batch-normalised network on five sixths of them, tells how many of the rest it reads
 * right, and keeps it in a file.
 *
 *   cc digits.c -o digits $(pkg-config --cflags --libs martlet) && ./digits ../data/digits.csv digits.safetensors
 */
#include <martlet.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIXELS = 64, CLASSES = 10, ROWS = 599, TRAINING_ROWS = 499 };

static float pixels[ROWS * PIXELS]; /* 0 ... 16 */
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
  for (int row = 0; row < ROWS; row++) {
    for (int pixel = 0; pixel < PIXELS; pixel++) {
      if (fscanf(file, "%f,", &pixels[row * PIXELS + pixel]) != 1) {
        fprintf(stderr, "%s: row %d ends early\n", path, row + 1);
        exit(1);
      }
    }
    if (fscanf(file, "%d", &digits[row]) != 1) {
      fprintf(stderr, "%s: row %d has no digit\n", path, row + 1);
      exit(1);
    }
  }
  fclose(file);
}

/* 64 -> input normalisation -> (dense 64 -> batch norm -> ReLU) twice -> dense 10 */
static martlet_model *make_network(void) {
  const int64_t row[1] = {PIXELS};
  martlet_graph *graph = NULL;
  martlet_node x = 0, h = 0, logits = 0;
  martlet_model *network = NULL;
  check(martlet_graph_create(&graph));
  check(martlet_graph_input(graph, "pixels", 1, row, &x));
  check(martlet_graph_input_normalization(graph, NULL, x, 1, &h));
  for (int block = 0; block < 2; block++) {
    check(martlet_graph_dense(graph, NULL, h, 64, NULL, &h));
    check(martlet_graph_batch_norm(graph, NULL, h, NULL, &h));
    check(martlet_graph_activation(graph, NULL, h, MARTLET_RELU, &h));
  }
  check(martlet_graph_dense(graph, NULL, h, CLASSES, NULL, &logits));
  check(martlet_model_create(&network, graph, &x, 1, &logits, 1, 1));
  martlet_graph_destroy(graph);
  return network;
}

static int32_t print_epoch(const martlet_training_event *event, void *payload) {
  (void)payload;
  if (event->kind == MARTLET_EVENT_EPOCH) {
    printf("epoch %2d  loss %.4f  read right: %d of %d new ones\n", (int)event->epoch + 1, event->training.loss,
           (int)event->validation.correct, (int)event->validation.rows);
  }
  return 0; /* anything else would stop the training */
}

int main(int argc, char **argv) {
  read_digits(argc > 1 ? argv[1] : "examples/data/digits.csv");
  const char *path = argc > 2 ? argv[2] : "digits.safetensors";

  const int64_t train_shape[2] = {TRAINING_ROWS, PIXELS}, test_shape[2] = {ROWS - TRAINING_ROWS, PIXELS};
  const martlet_array train_x = {pixels, train_shape, NULL, 2, MARTLET_FLOAT32};
  const martlet_array train_y = {digits, train_shape, NULL, 1, MARTLET_INT32};
  const martlet_array test_x = {pixels + TRAINING_ROWS * PIXELS, test_shape, NULL, 2, MARTLET_FLOAT32};
  const martlet_array test_y = {digits + TRAINING_ROWS, test_shape, NULL, 1, MARTLET_INT32};

  martlet_model *network = make_network();
  check(martlet_model_fit_input_normalization(network, &train_x, 1, 0));

  martlet_trainer *trainer = NULL;
  martlet_optimizer_options adam = MARTLET_OPTIMIZER_OPTIONS_INIT;
  adam.kind = MARTLET_ADAM;
  adam.learning_rate = 0.003;
  check(martlet_trainer_create(&trainer, network, MARTLET_LOSS_CROSS_ENTROPY, &adam, 1));

  martlet_fit_options fit = MARTLET_FIT_OPTIONS_INIT;
  fit.epochs = 10;
  fit.batch_size = 50;
  fit.validation_inputs = &test_x;
  fit.validation_targets = &test_y;
  fit.callback = print_epoch;
  check(martlet_trainer_fit(trainer, &train_x, 1, &train_y, 1, &fit, NULL));
  martlet_trainer_destroy(trainer);

  /* Exact statistics of the whole training set in place of the moving ones; then to a file and back. */
  check(martlet_model_update_population_statistics(network, &train_x, 1, 0));
  check(martlet_model_save(network, path));
  martlet_model_destroy(network);
  check(martlet_model_load(&network, path));
  check(martlet_model_load_weights(NULL, network, path, 1, MARTLET_FLATTEN_UNKNOWN)); /* or into a network that exists */

  martlet_result result = {0, 0, 0};
  check(martlet_trainer_create(&trainer, network, MARTLET_LOSS_CROSS_ENTROPY, NULL, 0));
  check(martlet_trainer_evaluate(trainer, &test_x, 1, &test_y, 1, 0, &result));
  printf("%s reads %d of %d right\n", path, (int)result.correct, (int)result.rows);

  /* Weights rounded to half precision are half the memory to read for each row. */
  martlet_result rounded = {0, 0, 0};
  check(martlet_model_set_inference_weights(network, MARTLET_INFERENCE_FLOAT16));
  check(martlet_trainer_evaluate(trainer, &test_x, 1, &test_y, 1, 0, &rounded));
  printf("with weights in 16 bits %d\n", (int)rounded.correct);
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(network);
  return result.correct * 5 < result.rows * 4; /* fewer than four in five would be a defect */
}
