/* Which statistics batch norms normalise with, and what becomes of the moving ones: population statistics by either method, from arrays
 * and from batches as they come. */
#include "models.h"

#include <pthread.h>

/* ---- population statistics ---- */

/* The rows of a batch, two at a time. */
typedef struct source {
  net_batch batch;
  int64_t shape[2];
  martlet_array part;
  int calls, passes, fails_at; /* fails_at: the call that fails, from 1; 0: none */
} source;

static int32_t next_batch(int32_t pass, int64_t index, const martlet_array **out_inputs, void *payload) {
  source *from = (source *)payload;
  from->calls++;
  if (pass + 1 > from->passes) from->passes = pass + 1;
  if (from->calls == from->fails_at) return 7;
  if (2 * index >= NET_ROWS) return 0;
  from->shape[0] = 2;
  from->shape[1] = NET_INPUTS;
  from->part = floats_of(from->batch.x + 2 * index * NET_INPUTS, 2, from->shape);
  *out_inputs = &from->part;
  return 0;
}

static void test_population_methods(void) {
  static source from;
  memset(&from, 0, sizeof from);
  make_batch(&from.batch, 3);
  const int32_t methods[] = {MARTLET_POPULATION_SEQUENTIAL, MARTLET_POPULATION_ONE_PASS};
  for (int i = 0; i < CHECK_COUNT(methods); i++) {
    martlet_model *whole = make_model(1), *model = NULL, *plain = NULL;
    CHECK_OK(martlet_model_clone(&model, whole));
    CHECK_OK(martlet_model_clone(&plain, whole));
    const uint64_t before = model_fingerprint(model);
    CHECK_OK(martlet_model_update_population_statistics_by(whole, &from.batch.x_array, 1, 2, methods[i]));
    CHECK(model_fingerprint(whole) != before);
    CHECK_INT(3, *(int64_t *)tensor_named(whole, "norm1.num_batches_tracked").value.data);

    /* A source that fails at any of its calls changes nothing. */
    for (int call = 1; call <= 4; call++) {
      from.calls = 0;
      from.fails_at = call;
      CHECK_FAILS(STATUS(CANCELLED), "callback",
                  martlet_model_update_population_statistics_from(model, methods[i], next_batch, &from));
      CHECK(model_fingerprint(model) == before);
    }
    from.calls = from.passes = from.fails_at = 0;
    CHECK_OK(martlet_model_update_population_statistics_from(model, methods[i], next_batch, &from));
    CHECK(model_fingerprint(model) == model_fingerprint(whole));
    CHECK_INT(4, from.calls);
    CHECK_INT(1, from.passes);

    if (methods[i] == MARTLET_POPULATION_SEQUENTIAL) {
      CHECK_OK(martlet_model_update_population_statistics(plain, &from.batch.x_array, 1, 2));
      CHECK(model_fingerprint(plain) == model_fingerprint(whole));
    }
    martlet_model_destroy(whole);
    martlet_model_destroy(model);
    martlet_model_destroy(plain);
  }
}

static int32_t no_batch(int32_t pass, int64_t index, const martlet_array **out_inputs, void *payload) {
  (void)pass, (void)index, (void)out_inputs, (void)payload;
  return 0;
}

static int32_t wrong_batch(int32_t pass, int64_t index, const martlet_array **out_inputs, void *payload) {
  (void)pass, (void)index;
  *out_inputs = &((net_batch *)payload)->out_array;
  return 0;
}

static void test_population_refuses(void) {
  martlet_model *model = make_model(1);
  net_batch batch;
  make_batch(&batch, 1);
  watch_model(model);
  const int32_t methods[] = {-1, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(methods); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "method",
                martlet_model_update_population_statistics_by(model, &batch.x_array, 1, 2, methods[i]));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "method",
                martlet_model_update_population_statistics_from(model, methods[i], no_batch, NULL));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_update_population_statistics_by(NULL, &batch.x_array, 1, 2, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_model_update_population_statistics_by(model, NULL, 1, 2, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "batch_size",
              martlet_model_update_population_statistics_by(model, &batch.x_array, 1, -1, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "first batch has one value",
              martlet_model_update_population_statistics_by(model, &batch.x_array, 1, 1, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_update_population_statistics_from(NULL, 1, no_batch, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "next", martlet_model_update_population_statistics_from(model, 1, NULL, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "0 rows", martlet_model_update_population_statistics_from(model, 1, no_batch, NULL));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "batch", martlet_model_update_population_statistics_from(model, 1, wrong_batch, &batch));
  martlet_model_destroy(model);
}

/* ---- transactions ---- */

static void test_transactions(void) {
  martlet_model *model = make_model(2);
  net_batch batch;
  make_batch(&batch, 1);
  const uint64_t first = model_fingerprint(model);
  CHECK_OK(martlet_model_begin_statistics(model));
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  const uint64_t second = model_fingerprint(model);
  CHECK(first != second);
  CHECK_OK(martlet_model_begin_statistics(model));
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  CHECK(model_fingerprint(model) != second);
  CHECK_OK(martlet_model_rollback_statistics(model));
  CHECK(model_fingerprint(model) == second);
  CHECK_OK(martlet_model_begin_statistics(model));
  CHECK_OK(martlet_model_commit_statistics(model));
  CHECK_OK(martlet_model_rollback_statistics(model));
  CHECK(model_fingerprint(model) == first);

  watch_model(model);
  CHECK_FAILS(STATUS(INVALID_STATE), "begin one first", martlet_model_commit_statistics(model));
  CHECK_FAILS(STATUS(INVALID_STATE), "begin one first", martlet_model_rollback_statistics(model));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_begin_statistics(NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_commit_statistics(NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_rollback_statistics(NULL));
  /* One that is open when the model goes leaves nothing behind. */
  CHECK_OK(martlet_model_begin_statistics(model));
  martlet_model_destroy(model);
}

/* ---- micro-batches ---- */

static void test_micro_batches(void) {
  net_batch batch;
  make_batch(&batch, 4);
  martlet_model *models[4];
  martlet_trainer *trainers[4];
  martlet_result results[4];
  for (int i = 0; i < 4; i++) {
    models[i] = make_model(3);
    CHECK_OK(martlet_trainer_create(&trainers[i], models[i], MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
    CHECK_INT(0, martlet_trainer_micro_batch_size(trainers[i]));
  }
  /* Six rows in two parts of three. */
  const int64_t half[2] = {3, NET_INPUTS}, half_labels[1] = {3};
  const martlet_array inputs[2] = {floats_of(batch.x, 2, half), floats_of(batch.x + 3 * NET_INPUTS, 2, half)};
  const martlet_array targets[2] = {array_of(batch.labels, MARTLET_INT64, 1, half_labels),
                                    array_of(batch.labels + 3, MARTLET_INT64, 1, half_labels)};
  CHECK_OK(martlet_trainer_step(trainers[0], &batch.x_array, 1, &batch.label_array, 1, &results[0]));
  CHECK_OK(martlet_trainer_step_micro_batches(trainers[1], 2, inputs, targets, MARTLET_MICRO_BATCH_WHOLE, &results[1]));
  CHECK_OK(martlet_trainer_set_micro_batch_size(trainers[2], 3));
  CHECK_INT(3, martlet_trainer_micro_batch_size(trainers[2]));
  CHECK_OK(martlet_trainer_step(trainers[2], &batch.x_array, 1, &batch.label_array, 1, &results[2]));
  CHECK_OK(martlet_trainer_step_micro_batches(trainers[3], 2, inputs, targets, MARTLET_MICRO_BATCH_OWN, &results[3]));
  CHECK(model_fingerprint(models[0]) == model_fingerprint(models[1]));
  CHECK(model_fingerprint(models[2]) == model_fingerprint(models[3]));
  CHECK(model_fingerprint(models[0]) != model_fingerprint(models[2]));
  CHECK_CLOSE(results[0].loss, results[1].loss, 0);
  CHECK_CLOSE(results[2].loss, results[3].loss, 0);
  for (int i = 0; i < 4; i++) CHECK_INT(NET_ROWS, results[i].rows);

  martlet_trainer *trainer = trainers[0];
  watch_model(models[0]);
  WATCH(&results[0], sizeof results[0]);
  const int64_t sizes[] = {-1, INT64_MIN};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "micro_batch_size", martlet_trainer_set_micro_batch_size(trainer, sizes[i]));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "trainer", martlet_trainer_set_micro_batch_size(NULL, 1));
  CHECK_INT(0, martlet_trainer_micro_batch_size(NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "trainer",
              martlet_trainer_step_micro_batches(NULL, 2, inputs, targets, 0, &results[0]));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs",
              martlet_trainer_step_micro_batches(trainer, 2, NULL, targets, 0, &results[0]));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "targets",
              martlet_trainer_step_micro_batches(trainer, 2, inputs, NULL, 0, &results[0]));
  const int32_t numbers[] = {-1, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(numbers); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "statistics",
                martlet_trainer_step_micro_batches(trainer, 2, inputs, targets, numbers[i], &results[0]));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "count",
              martlet_trainer_step_micro_batches(trainer, -1, inputs, targets, 0, &results[0]));
  const martlet_array wrong[2] = {inputs[0], batch.x_array};
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "micro_batches[1]",
              martlet_trainer_step_micro_batches(trainer, 2, wrong, targets, 0, &results[0]));
  CHECK_OK(martlet_trainer_step_micro_batches(trainer, 0, NULL, NULL, 0, NULL));
  for (int i = 0; i < 4; i++) {
    martlet_trainer_destroy(trainers[i]);
    martlet_model_destroy(models[i]);
  }
}

/* ---- shards ---- */

/* Two threads that add up their numbers, the first shard's first. */
typedef struct exchange {
  pthread_mutex_t mutex;
  pthread_cond_t condition;
  double first[64], sums[64]; /* apart: the next exchange may begin before the first shard has read this one's sums */
  int arrived, round, calls;
} exchange;

typedef struct shard {
  exchange *between;
  martlet_model *model;
  const net_batch *batch;
  int first, rows, failures;
  int fails; /* refuses to exchange */
} shard;

static int32_t add_up(double *sums, int64_t count, void *payload) {
  const shard *self = (const shard *)payload;
  exchange *between = self->between;
  if (self->fails || count > 64) return 1;
  pthread_mutex_lock(&between->mutex);
  const int round = between->round;
  if (between->arrived++ == 0) {
    memcpy(between->first, sums, (size_t)count * sizeof(double));
    while (between->round == round) pthread_cond_wait(&between->condition, &between->mutex);
  } else {
    for (int64_t i = 0; i < count; i++)
      between->sums[i] = between->first[i] + sums[i]; /* a + b is b + a: the order does not matter for two */
    between->arrived = 0;
    between->round++;
    pthread_cond_broadcast(&between->condition);
  }
  memcpy(sums, between->sums, (size_t)count * sizeof(double));
  between->calls++;
  pthread_mutex_unlock(&between->mutex);
  return 0;
}

static void *run_shard(void *argument) {
  shard *self = (shard *)argument;
  const int64_t shape[2] = {self->rows, NET_INPUTS}, grad_shape[2] = {self->rows, NET_CLASSES};
  float x[NET_ROWS * NET_INPUTS], grad[NET_ROWS * NET_CLASSES];
  memcpy(x, self->batch->x + self->first * NET_INPUTS, sizeof(float) * (size_t)self->rows * NET_INPUTS);
  memcpy(grad, self->batch->grad + self->first * NET_CLASSES, sizeof(float) * (size_t)self->rows * NET_CLASSES);
  const martlet_array x_array = floats_of(x, 2, shape), grad_array = floats_of(grad, 2, grad_shape);
  self->failures += martlet_model_forward(self->model, &x_array, 1, 1) != MARTLET_OK;
  self->failures += martlet_model_backward(self->model, &grad_array, 1, 0) != MARTLET_OK;
  return NULL;
}

/* What an all-reduce must not do: run the model that waits for it. */
typedef struct intruder {
  martlet_model *model;
  martlet_trainer *trainer;
  const net_batch *batch;
  int calls;
} intruder;

static int32_t intrude(double *sums, int64_t count, void *payload) {
  intruder *self = (intruder *)payload;
  (void)sums;
  self->calls++;
  CHECK(count > 0);
  CHECK_FAILS(STATUS(INVALID_STATE), "all-reduce", martlet_model_forward(self->model, &self->batch->x_array, 1, 1));
  CHECK_FAILS(STATUS(INVALID_STATE), "all-reduce", martlet_model_backward(self->model, &self->batch->grad_array, 1, 0));
  CHECK_FAILS(STATUS(INVALID_STATE), "all-reduce", martlet_model_set_all_reduce(self->model, NULL, NULL));
  CHECK_FAILS(STATUS(INVALID_STATE), "all-reduce",
              martlet_trainer_step(self->trainer, &self->batch->x_array, 1, &self->batch->label_array, 1, NULL));
  CHECK_FAILS(STATUS(INVALID_STATE), "all-reduce",
              martlet_trainer_fit(self->trainer, &self->batch->x_array, 1, &self->batch->label_array, 1, NULL, NULL));
  return 0;
}

static void test_calls_from_the_all_reduce(void) {
  net_batch batch;
  make_batch(&batch, 6);
  intruder self = {make_model(4), NULL, &batch, 0};
  CHECK_OK(martlet_trainer_create(&self.trainer, self.model, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
  CHECK_OK(martlet_model_set_all_reduce(self.model, intrude, &self));
  CHECK_OK(martlet_model_forward(self.model, &batch.x_array, 1, 1));
  CHECK_OK(martlet_model_backward(self.model, &batch.grad_array, 1, 0));
  CHECK_INT(2, self.calls); /* one batch norm, forward and backward */
  CHECK_OK(martlet_trainer_step(self.trainer, &batch.x_array, 1, &batch.label_array, 1, NULL));
  CHECK_INT(6, self.calls);
  /* Inference asks nobody; a clone trains alone. */
  martlet_model *clone = NULL;
  CHECK_OK(martlet_model_forward(self.model, &batch.x_array, 1, 0));
  CHECK_OK(martlet_model_clone(&clone, self.model));
  CHECK_OK(martlet_model_forward(clone, &batch.x_array, 1, 1));
  CHECK_INT(6, self.calls);
  CHECK_OK(martlet_trainer_set_micro_batch_size(self.trainer, 2));
  CHECK_FAILS(STATUS(UNSUPPORTED), "Micro-batches",
              martlet_trainer_step(self.trainer, &batch.x_array, 1, &batch.label_array, 1, NULL));
  martlet_model_destroy(clone);
  martlet_trainer_destroy(self.trainer);
  martlet_model_destroy(self.model);
}

static void test_shards(void) {
  net_batch batch;
  make_batch(&batch, 6);
  martlet_model *whole = make_model(4);
  CHECK_OK(martlet_model_forward(whole, &batch.x_array, 1, 1));
  CHECK_OK(martlet_model_backward(whole, &batch.grad_array, 1, 0));
  const int splits[] = {3, 1, 0, NET_ROWS};
  for (int s = 0; s < CHECK_COUNT(splits); s++) {
    exchange between;
    memset(&between, 0, sizeof between);
    pthread_mutex_init(&between.mutex, NULL);
    pthread_cond_init(&between.condition, NULL);
    shard shards[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
      memset(&shards[i], 0, sizeof shards[i]);
      shards[i].between = &between;
      shards[i].model = make_model(4);
      shards[i].batch = &batch;
      shards[i].first = i == 0 ? 0 : splits[s];
      shards[i].rows = i == 0 ? splits[s] : NET_ROWS - splits[s];
      CHECK_OK(martlet_model_set_all_reduce(shards[i].model, add_up, &shards[i]));
    }
    for (int i = 0; i < 2; i++) CHECK_INT(0, pthread_create(&threads[i], NULL, run_shard, &shards[i]));
    for (int i = 0; i < 2; i++) {
      pthread_join(threads[i], NULL);
      CHECK_INT(0, shards[i].failures);
    }
    CHECK_INT(4, between.calls);
    static const char *const state[] = {"norm1.running_mean", "norm1.running_var"};
    for (int n = 0; n < CHECK_COUNT(state); n++) {
      const float *want = (const float *)tensor_named(whole, state[n]).value.data;
      const float *a = (const float *)tensor_named(shards[0].model, state[n]).value.data;
      const float *b = (const float *)tensor_named(shards[1].model, state[n]).value.data;
      for (int k = 0; k < NET_HIDDEN; k++) {
        CHECK_CLOSE(want[k], a[k], 4.0 / 16777216);
        CHECK_CLOSE(a[k], b[k], 0);
      }
    }
    const float *want = (const float *)tensor_named(whole, "dense1.weight").gradient;
    const float *a = (const float *)tensor_named(shards[0].model, "dense1.weight").gradient;
    const float *b = (const float *)tensor_named(shards[1].model, "dense1.weight").gradient;
    for (int k = 0; k < NET_HIDDEN * NET_INPUTS; k++) CHECK_CLOSE(want[k], a[k] + b[k], 64.0 / 16777216);
    for (int i = 0; i < 2; i++) martlet_model_destroy(shards[i].model);
    pthread_cond_destroy(&between.condition);
    pthread_mutex_destroy(&between.mutex);
  }

  /* A failing exchange changes nothing; taken back, the model trains alone. */
  shard failing;
  memset(&failing, 0, sizeof failing);
  failing.fails = 1;
  martlet_model *model = make_model(4);
  CHECK_OK(martlet_model_set_all_reduce(model, add_up, &failing));
  watch_model(model);
  CHECK_FAILS(STATUS(CANCELLED), "all-reduce", martlet_model_forward(model, &batch.x_array, 1, 1));
  CHECK_FAILS(STATUS(INVALID_STATE), "forward", martlet_model_backward(model, &batch.grad_array, 1, 0));
  martlet_trainer *trainer = NULL;
  CHECK_OK(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
  CHECK_FAILS(STATUS(CANCELLED), "all-reduce", martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_set_all_reduce(NULL, add_up, NULL));
  CHECK_OK(martlet_model_set_all_reduce(model, NULL, NULL));
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  CHECK(model_fingerprint(model) == model_fingerprint(whole));
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
  martlet_model_destroy(whole);
}

static const check_test tests[] = {TEST(test_population_methods),
                                   TEST(test_population_refuses),
                                   TEST(test_transactions),
                                   TEST(test_micro_batches),
                                   TEST(test_shards),
                                   TEST(test_calls_from_the_all_reduce)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
