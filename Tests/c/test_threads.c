/* Threads: one model predicting on many at once, distinct objects on distinct threads, messages of each thread's own. */
#include <pthread.h>

#include "models.h"

enum { THREADS = 8, REPEATS = 50 };

typedef struct worker {
  pthread_t thread;
  martlet_model *model;
  int number, failures;
  uint64_t fingerprint;
} worker;

static void run_all(worker *workers, void *(*function)(void *)) {
  for (int i = 0; i < THREADS; i++) {
    workers[i].number = i;
    workers[i].failures = 0;
    if (pthread_create(&workers[i].thread, NULL, function, &workers[i]) != 0) {
      fprintf(stderr, "pthread_create failed\n");
      exit(2);
    }
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(workers[i].thread, NULL);
    CHECK_INT(0, workers[i].failures);
  }
}

static void *predict(void *argument) {
  worker *w = (worker *)argument;
  net_batch batch, expected;
  make_batch(&batch, (uint32_t)w->number);
  make_batch(&expected, (uint32_t)w->number);
  w->failures += martlet_model_predict(w->model, &expected.x_array, 1, 0, &expected.out_array, 1) != MARTLET_OK;
  for (int i = 0; i < REPEATS; i++) {
    memset(batch.out, 0, sizeof batch.out);
    w->failures += martlet_model_predict(w->model, &batch.x_array, 1, 1 + i % 7, &batch.out_array, 1) != MARTLET_OK;
    w->failures += memcmp(batch.out, expected.out, sizeof batch.out) != 0;
  }
  return NULL;
}

static void test_one_model_on_many_threads(void) {
  worker workers[THREADS];
  martlet_model *model = make_model(5);
  const uint64_t before = model_fingerprint(model);
  for (int i = 0; i < THREADS; i++) workers[i].model = model;
  run_all(workers, predict);
  CHECK(model_fingerprint(model) == before);
  martlet_model_destroy(model);
}

static void *train(void *argument) {
  worker *w = (worker *)argument;
  net_batch batch;
  martlet_trainer *trainer = NULL;
  make_batch(&batch, 1);
  w->failures += martlet_trainer_create(&trainer, w->model, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1) != MARTLET_OK;
  for (int i = 0; i < REPEATS; i++) {
    w->failures += martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, NULL) != MARTLET_OK;
  }
  w->fingerprint = model_fingerprint(w->model);
  martlet_trainer_destroy(trainer);
  return NULL;
}

static void test_distinct_models(void) {
  worker workers[THREADS];
  for (int i = 0; i < THREADS; i++) workers[i].model = make_model(5);
  run_all(workers, train);
  for (int i = 0; i < THREADS; i++) {
    CHECK(workers[i].fingerprint == workers[0].fingerprint);
    martlet_model_destroy(workers[i].model);
  }
}

static void *fail(void *argument) {
  worker *w = (worker *)argument;
  char name[32];
  snprintf(name, sizeof name, "layer-of-%d", w->number);
  w->failures += strcmp(martlet_last_error_message(), "") != 0; /* a new thread has had none */
  for (int i = 0; i < REPEATS; i++) {
    w->failures += martlet_model_set_trainable(w->model, name, 1) != MARTLET_INVALID_ARGUMENT;
    w->failures += strstr(martlet_last_error_message(), name) == NULL;
  }
  return NULL;
}

static void test_messages(void) {
  worker workers[THREADS];
  for (int i = 0; i < THREADS; i++) workers[i].model = make_model(5);
  check_provoke_message();
  run_all(workers, fail);
  CHECK(strstr(martlet_last_error_message(), "layer-of") == NULL);
  for (int i = 0; i < THREADS; i++) martlet_model_destroy(workers[i].model);
}

/* The count may change while others compute: results do not depend on it. */
static void *change_count(void *argument) {
  worker *w = (worker *)argument;
  if (w->number > 0) return predict(argument);
  for (int i = 0; i < REPEATS; i++) w->failures += martlet_set_num_threads(1 + i % 4) != MARTLET_OK;
  return NULL;
}

static void test_changing_the_count(void) {
  worker workers[THREADS];
  const int32_t before = martlet_num_threads();
  martlet_model *model = make_model(5);
  for (int i = 0; i < THREADS; i++) workers[i].model = model;
  run_all(workers, change_count);
  CHECK_OK(martlet_set_num_threads(before));
  martlet_model_destroy(model);
}

static const check_test tests[] = {TEST(test_one_model_on_many_threads), TEST(test_distinct_models), TEST(test_messages),
                                   TEST(test_changing_the_count)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
