/* Learns XOR: the smallest whole program.
 *
 *   cc xor.c -o xor $(pkg-config --cflags --libs martlet) && ./xor
 */
#include <martlet.h>
#include <stdio.h>
#include <stdlib.h>

/* Every call that can fail returns a status, and its reason is one call away. */
static void check(martlet_status status) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "%s: %s\n", martlet_status_name(status), martlet_last_error_message());
  exit(1);
}

/* 2 -> dense 8 -> batch norm -> tanh -> dense 2 */
static martlet_model *make_network(void) {
  const int64_t two[1] = {2};
  martlet_graph *graph = NULL;
  martlet_node x = 0, h = 0, logits = 0;
  martlet_model *network = NULL;
  check(martlet_graph_create(&graph));
  check(martlet_graph_input(graph, "x", 1, two, &x));
  check(martlet_graph_dense(graph, NULL, x, 8, NULL, &h));
  check(martlet_graph_batch_norm(graph, NULL, h, NULL, &h));
  check(martlet_graph_activation(graph, NULL, h, MARTLET_TANH, &h));
  check(martlet_graph_dense(graph, NULL, h, 2, NULL, &logits));
  check(martlet_model_create(&network, graph, &x, 1, &logits, 1, 7));
  martlet_graph_destroy(graph); /* the model does not need it any more */
  return network;
}

int main(void) {
  float inputs[8] = {0, 0, 0, 1, 1, 0, 1, 1}, logits[8];
  int32_t labels[4] = {0, 1, 1, 0};
  const int64_t table[2] = {4, 2}, column[1] = {4};
  const martlet_array x = {inputs, table, NULL, 2, MARTLET_FLOAT32};
  const martlet_array y = {labels, column, NULL, 1, MARTLET_INT32};
  const martlet_array out = {logits, table, NULL, 2, MARTLET_FLOAT32};

  martlet_model *network = make_network();
  martlet_trainer *trainer = NULL;
  martlet_optimizer_options sgd = MARTLET_OPTIMIZER_OPTIONS_INIT;
  sgd.learning_rate = 0.5;
  check(martlet_trainer_create(&trainer, network, MARTLET_LOSS_CROSS_ENTROPY, &sgd, 0));

  martlet_result result = {0, 0, 0};
  for (int step = 1; step <= 200; step++) {
    check(martlet_trainer_step(trainer, &x, 1, &y, 1, &result));
    if (step % 50 == 0) printf("step %3d  loss %.4f\n", step, result.loss);
  }

  check(martlet_model_predict(network, &x, 1, 0, &out, 1));
  int wrong = 0;
  for (int row = 0; row < 4; row++) {
    const int answer = logits[2 * row + 1] > logits[2 * row];
    printf("%.0f xor %.0f = %d\n", inputs[2 * row], inputs[2 * row + 1], answer);
    wrong += answer != labels[row];
  }
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(network);
  return wrong != 0;
}
