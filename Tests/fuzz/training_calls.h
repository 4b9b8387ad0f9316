/* training_calls.h: random calls that train a model or move its statistics, for call_sequences.c. */
#ifndef TRAINING_CALLS_H
#define TRAINING_CALLS_H

#include "slots.h"

/* The batches of a population pass, right and wrong. */
typedef struct population_batches {
  martlet_model *model;
  lying_array x;
  martlet_array pair[2];
  int64_t rows, count;
} population_batches;

static int32_t give_batch(int32_t pass, int64_t index, const martlet_array **out_inputs, void *payload) {
  population_batches *batches = (population_batches *)payload;
  (void)pass;
  if (index >= batches->count) return 0;
  /* Every pass the same rows, mostly. */
  const int64_t rows = one_in(30) ? below(7) : (batches->rows + index) % 7;
  *out_inputs = twice(batches->pair, any_array(&batches->x, buffer + 4 * below(50), 2, rows, 4));
  if (one_in(10)) {
    lying_array y;
    martlet_array two[2];
    const martlet_array *outputs = twice(two, any_array(&y, results, 2, rows, output_columns(batches->model)));
    count_status(martlet_model_predict(batches->model, *out_inputs, 1, 0, outputs, 1));
  }
  return one_in(40);
}

static void call_population(void) {
  lying_array x;
  martlet_array two_x[2];
  martlet_model *model = any_model();
  const uint64_t before = fingerprint(model);
  const int32_t method = any_int(below(2));
  martlet_status status;
  if (one_in(2)) {
    const martlet_array *inputs = twice(two_x, any_array(&x, buffer, 2, below(20), 4));
    status = martlet_model_update_population_statistics_by(model, inputs, any_count(), any_size(below(6)), method);
  } else {
    population_batches batches;
    batches.model = model;
    batches.rows = below(7);
    batches.count = below(4);
    status = martlet_model_update_population_statistics_from(model, method, one_in(30) ? NULL : give_batch, &batches);
  }
  count_status(status);
  if (status != MARTLET_OK) check_unchanged("a failed population pass", model, before);
}

/* Transactions, open ones and ones that are not; now and then a whole one, which must undo what training moved. */
static void call_transaction(void) {
  lying_array x;
  martlet_array two_x[2];
  martlet_model *model = any_model();
  if (one_in(2)) {
    switch (below(3)) {
      case 0: count_status(martlet_model_begin_statistics(model)); return;
      case 1: count_status(martlet_model_commit_statistics(model)); return;
      default: count_status(martlet_model_rollback_statistics(model)); return;
    }
  }
  const uint64_t before = fingerprint(model);
  const martlet_status began = martlet_model_begin_statistics(model);
  count_status(began);
  if (began != MARTLET_OK) return;
  const martlet_array *inputs = twice(two_x, any_array(&x, buffer, 2, below(7), 4));
  switch (below(3)) {
    case 0: count_status(martlet_model_fit_input_normalization(model, inputs, any_count(), any_size(below(4)))); break;
    case 1:
      count_status(
          martlet_model_update_population_statistics_by(model, inputs, any_count(), any_size(below(4)), any_int(below(2))));
      break;
    default: count_status(martlet_model_forward(model, inputs, any_count(), any_int(1)));
  }
  count_status(martlet_model_rollback_statistics(model));
  check_unchanged("a transaction that was rolled back", model, before);
}

/* A step on a batch that comes in parts. */
static void call_micro_batches(void) {
  enum { PARTS = 3 };
  lying_array x, y;
  martlet_array inputs[2 * PARTS], targets[2 * PARTS];
  martlet_result result;
  int64_t labels[8];
  static const int32_t odd[] = {0, -1, INT32_MIN};
  const int slot = below(SLOTS);
  martlet_trainer *trainer = one_in(30) ? NULL : trainers[slot];
  const int32_t count = one_in(12) ? odd[below(CHECK_COUNT(odd))] : 1 + below(PARTS);
  for (int i = 0; i < 8; i++) labels[i] = any_int(below(2));
  count_status(martlet_trainer_set_micro_batch_size(trainer, any_size(below(4))));
  if (martlet_trainer_micro_batch_size(trainer) < 0) abort();
  /* Each array is a copy; what its shape points to must outlive the call, so right parts share one shape. */
  const int64_t rows = below(7), shape[2] = {rows, 4}, label_shape[1] = {rows};
  for (int i = 0; i < 2 * PARTS; i++) {
    inputs[i] = floats_of(buffer + 10 * i, 2, shape);
    targets[i] = array_of(labels, MARTLET_INT64, 1, label_shape);
  }
  const int wrong = below(2 * PARTS);
  const martlet_array *lie = any_array(&x, buffer, 2, below(7), 4), *other = any_array(&y, buffer, 2, below(7), 1 + below(3));
  if (lie != NULL) inputs[wrong] = *lie;
  if (other != NULL && one_in(2)) targets[wrong] = *other;
  const uint64_t before = fingerprint(trained[slot]);
  const martlet_status status = martlet_trainer_step_micro_batches(
      trainer, count, lie == NULL ? NULL : inputs, one_in(30) ? NULL : targets, any_int(below(2)), one_in(4) ? NULL : &result);
  count_status(status);
  if (status != MARTLET_OK) check_unchanged("a failed step of micro-batches", trained[slot], before);
}

static int32_t maybe_stop(const martlet_training_event *event, void *payload) {
  (void)event;
  (void)payload;
  return one_in(5);
}

static void call_train(void) {
  lying_array x, y, g;
  martlet_array two_x[2], two_y[2];
  const int slot = below(SLOTS);
  martlet_model *model = any_model();
  martlet_trainer *trainer = one_in(30) ? NULL : trainers[below(SLOTS)], *made = NULL;
  martlet_optimizer *optimizer = one_in(30) ? NULL : optimizers[below(SLOTS)], *made_optimizer = NULL;
  martlet_optimizer_options options = MARTLET_OPTIMIZER_OPTIONS_INIT;
  martlet_fit_options fit = MARTLET_FIT_OPTIONS_INIT;
  martlet_result result;
  double loss;
  int64_t correct, labels[8];
  const int64_t rows = below(7), columns = 1 + below(3), label_shape[1] = {rows};
  for (int i = 0; i < 8; i++) labels[i] = any_int(below(2));
  const martlet_array label_array = array_of(labels, MARTLET_INT64, 1, label_shape);
  const martlet_array *inputs = twice(two_x, any_array(&x, buffer, 2, rows, 4));
  const martlet_array *targets = twice(two_y, one_in(3) ? any_array(&y, buffer, 2, rows, columns) : &label_array);
  if (one_in(20)) options.struct_size = fit.struct_size = (size_t)below(64);
  options.kind = any_int(below(3));
  options.learning_rate = any_number(0.01);
  options.momentum = any_number(0);
  options.weight_decay = any_number(0);
  fit.epochs = any_size(2) % 5;
  fit.batch_size = any_size(4);
  fit.callback = one_in(2) ? maybe_stop : NULL;
  switch (below(9)) {
    case 0: count_status(martlet_trainer_create(&made, model, any_int(below(3)), one_in(2) ? NULL : &options, 1)); break;
    case 1: count_status(martlet_optimizer_create(&made_optimizer, model, one_in(2) ? NULL : &options)); break;
    case 2: count_status(martlet_optimizer_step(optimizer)); break;
    case 3: count_status(martlet_optimizer_set_learning_rate(optimizer, any_number(0.1))); break;
    case 4: count_status(martlet_trainer_set_learning_rate(trainer, any_number(0.1))); break;
    case 5:
      count_status(martlet_trainer_step(trainer, inputs, any_count(), targets, any_count(), one_in(4) ? NULL : &result));
      break;
    case 6:
      count_status(martlet_trainer_evaluate(trainer, inputs, any_count(), targets, any_count(), any_size(2),
                                            one_in(10) ? NULL : &result));
      break;
    case 7:
      count_status(martlet_trainer_fit(trainer, inputs, any_count(), targets, any_count(), one_in(3) ? NULL : &fit, &result));
      break;
    default:
      count_status(martlet_loss(any_int(below(3)), any_array(&x, buffer, 2, rows, columns), targets, &loss,
                                one_in(2) ? NULL : &correct, any_array(&g, results, 2, rows, columns)));
  }
  (void)martlet_trainer_learning_rate(trainer);
  (void)martlet_optimizer_learning_rate(optimizer);
  if (made != NULL) {
    martlet_trainer_destroy(trainers[slot]);
    trainers[slot] = made;
    trained[slot] = model;
  }
  if (made_optimizer != NULL) {
    martlet_optimizer_destroy(optimizers[slot]);
    optimizers[slot] = made_optimizer;
  }
}

#endif /* TRAINING_CALLS_H */
