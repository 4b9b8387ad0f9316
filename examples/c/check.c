/* Looks a network over before it is trained, and after, on the data it meets where it serves.
 *
 *   cc check.c -o check $(pkg-config --cflags --libs martlet) && ./check
 */
#include <martlet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 200, FEATURES = 4 };

static void ok(martlet_status status) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "%s: %s\n", martlet_status_name(status), martlet_last_error_message());
  exit(1);
}

/* 4 -> batch norm -> dense 8 -> dropout -> batch norm -> dense 2: the dropout stands in a bad place. */
static martlet_model *make_network(void) {
  const int64_t row[1] = {FEATURES};
  martlet_graph *graph = NULL;
  martlet_node x = 0, h = 0, logits = 0;
  martlet_model *network = NULL;
  ok(martlet_graph_create(&graph));
  ok(martlet_graph_input(graph, "x", 1, row, &x));
  ok(martlet_graph_batch_norm(graph, "first", x, NULL, &h));
  ok(martlet_graph_dense(graph, NULL, h, 8, NULL, &h));
  ok(martlet_graph_dropout(graph, "dropout", h, 0.2, &h));
  ok(martlet_graph_batch_norm(graph, NULL, h, NULL, &h));
  ok(martlet_graph_dense(graph, NULL, h, 2, NULL, &logits));
  ok(martlet_model_create(&network, graph, &x, 1, &logits, 1, 7));
  martlet_graph_destroy(graph);
  return network;
}

/* Prints what is found; returns whether one of them has the code and the layer. */
static int look(const martlet_model *network, const martlet_array *data, const martlet_check_options *options, const char *code,
                const char *layer) {
  martlet_findings *findings = NULL;
  int found = 0;
  ok(martlet_model_check(&findings, network, data, data != NULL, options));
  for (int32_t i = 0; i < martlet_findings_count(findings); i++) {
    martlet_finding finding;
    memset(&finding, 0, sizeof finding);
    finding.struct_size = sizeof finding;
    ok(martlet_findings_at(findings, i, &finding));
    printf("%s: %s\n  %s\n", finding.code, finding.message, finding.advice);
    found |= strcmp(finding.code, code) == 0 && strcmp(finding.layer, layer) == 0;
  }
  martlet_findings_destroy(findings);
  return found;
}

int main(void) {
  static float values[ROWS * FEATURES];
  static int32_t labels[ROWS];
  const int64_t table[2] = {ROWS, FEATURES}, column[1] = {ROWS};
  const martlet_array x = {values, table, NULL, 2, MARTLET_FLOAT32};
  const martlet_array y = {labels, column, NULL, 1, MARTLET_INT32};
  martlet_check_options options = MARTLET_CHECK_OPTIONS_INIT;
  martlet_fit_options fit = MARTLET_FIT_OPTIONS_INIT;
  martlet_model *network = make_network();
  martlet_trainer *trainer = NULL;
  unsigned state = 1;
  for (int i = 0; i < ROWS * FEATURES; i++) {
    state = state * 1664525u + 1013904223u;
    values[i] = (float)(state >> 8) / 16777216.0f;
  }
  for (int i = 0; i < ROWS; i++) labels[i] = values[i * FEATURES] > values[i * FEATURES + 1];

  puts("-- before training");
  options.batch_size = fit.batch_size = 50;
  const int is_misplaced = look(network, &x, &options, "dropout_before_batch_norm", "dropout");
  ok(martlet_trainer_create(&trainer, network, MARTLET_LOSS_CROSS_ENTROPY, NULL, 0));

  puts("-- three steps, recorded: where the last layer's inputs lie, and how the updates before it turn its gradient");
  static const char *const last[1] = {"dense_2"};
  martlet_shift_recorder *recorder = NULL;
  char table_text[2000];
  size_t length = 0;
  ok(martlet_shift_recorder_create(&recorder, network, last, 1, NULL));
  for (int step = 0; step < 3; step++) {
    ok(martlet_shift_recorder_before_update(recorder, step, &x, 1, &y, 1, NULL, 0));
    ok(martlet_trainer_step(trainer, &x, 1, &y, 1, NULL));
    ok(martlet_shift_recorder_after_update(recorder, &x, 1, &y, 1));
  }
  ok(martlet_shift_recorder_csv(recorder, table_text, sizeof table_text, &length));
  if (length < sizeof table_text) fputs(table_text, stdout);
  martlet_shift_recorder_destroy(recorder);

  fit.epochs = 10;
  ok(martlet_trainer_fit(trainer, &x, 1, &y, 1, &fit, NULL));
  martlet_trainer_destroy(trainer);

  puts("-- where it serves, a sensor gives percent");
  for (int i = 0; i < ROWS; i++) values[i * FEATURES + 2] *= 100;
  const int has_drifted = look(network, &x, NULL, "data_drifted", "first");
  martlet_model_destroy(network);
  return is_misplaced && has_drifted ? 0 : 1;
}
