/* slots.h: the objects that call_sequences.c calls with, and what it checks after each call. */
#ifndef SLOTS_H
#define SLOTS_H

#include "arguments.h"

enum { SLOTS = 4, MAX_NODES = 12, BUFFER = 4096 };

static martlet_tensor *tensors[SLOTS];
static martlet_statistics *statistics[SLOTS];
static martlet_graph *graphs[SLOTS];
static martlet_node last_node[SLOTS];
static martlet_model *models[SLOTS];
static martlet_optimizer *optimizers[SLOTS];
static martlet_trainer *trainers[SLOTS];
static martlet_model *trained[SLOTS]; /* what each trainer trains; NULL once its handle is gone */
static long calls_by_status[MARTLET_NOT_FINITE + 1];
static float buffer[BUFFER];
static float results[BUFFER], results_before[BUFFER];
static char saved_path[64];

static void count_status(martlet_status status) {
  if (status < 0 || status > MARTLET_NOT_FINITE || status == MARTLET_INTERNAL_ERROR) {
    fprintf(stderr, "status %d: %s\n", (int)status, martlet_last_error_message());
    abort();
  }
  if (status != MARTLET_OK && martlet_last_error_message()[0] == '\0') {
    fprintf(stderr, "%s without a message\n", martlet_status_name(status));
    abort();
  }
  calls_by_status[status]++;
}

/* Around a call that writes into `results` and leaves it alone when it fails. */
static void remember_results(void) {
  memcpy(results_before, results, sizeof results);
}
static void count_writing(martlet_status status) {
  count_status(status);
  if (status == MARTLET_OK || memcmp(results, results_before, sizeof results) == 0) return;
  fprintf(stderr, "%s, but results have changed: %s\n", martlet_status_name(status), martlet_last_error_message());
  abort();
}

/* After a call that must have left a model as it was `before`, a fingerprint. */
static void check_unchanged(const char *call, const martlet_model *model, uint64_t before) {
  if (model == NULL || model_fingerprint(model) == before) return;
  fprintf(stderr, "%s changed a model: %s\n", call, martlet_last_error_message());
  abort();
}

static uint64_t fingerprint(const martlet_model *model) {
  return model == NULL ? 0 : model_fingerprint(model);
}

static void replace_model(int slot, martlet_model *made) {
  for (int i = 0; i < SLOTS; i++) {
    if (trained[i] == models[slot]) trained[i] = NULL;
  }
  martlet_model_destroy(models[slot]);
  models[slot] = made;
}

static martlet_model *any_model(void) {
  return one_in(30) ? NULL : models[below(SLOTS)];
}

/* The columns of a model's first output, so that results fit; 0 if unknown or too many for the buffer. */
static int64_t output_columns(const martlet_model *model) {
  martlet_view view;
  if (martlet_model_output_shape(model, 0, &view) != MARTLET_OK || view.rank != 1 || view.shape[0] > 100) return 0;
  return view.shape[0];
}

/* A count of arrays given side by side: the callers hold two. */
static int32_t any_count(void) {
  static const int32_t odd[] = {0, 2, -1, INT32_MIN};
  return one_in(12) ? odd[below(CHECK_COUNT(odd))] : 1;
}

#endif /* SLOTS_H */
