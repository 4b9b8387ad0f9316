/* Two threads on one object: calls that change nothing run side by side; a call that changes something needs the object alone, and the
 * one that comes second is told so. Nothing crashes, nothing changes, nothing waits. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "models.h"

/* A fit that stays inside its first callback until it is told to go on. */
typedef struct held_fit {
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  martlet_model *model;
  martlet_trainer *trainer;
  net_batch batch;
  int inside, may_leave, failures;
} held_fit;

static int32_t hold(const martlet_training_event *event, void *payload) {
  held_fit *fit = (held_fit *)payload;
  if (event->kind != MARTLET_EVENT_STEP) return 0;
  /* On the fit's own thread the model stays usable. */
  net_batch batch;
  martlet_result result;
  make_batch(&batch, 3);
  fit->failures += martlet_model_predict(fit->model, &batch.x_array, 1, 0, &batch.out_array, 1) != MARTLET_OK;
  fit->failures += martlet_trainer_evaluate(fit->trainer, &batch.x_array, 1, &batch.label_array, 1, 0, &result) != MARTLET_OK;
  fit->failures += martlet_trainer_set_learning_rate(fit->trainer, 0.01) != MARTLET_OK;
  fit->failures += martlet_model_set_trainable(fit->model, "dense1.bias", 1) != MARTLET_OK;
  pthread_mutex_lock(&fit->mutex);
  fit->inside = 1;
  pthread_cond_broadcast(&fit->changed);
  while (!fit->may_leave) pthread_cond_wait(&fit->changed, &fit->mutex);
  pthread_mutex_unlock(&fit->mutex);
  return 0;
}

static void *run_fit(void *argument) {
  held_fit *fit = (held_fit *)argument;
  martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
  options.callback = hold;
  options.payload = fit;
  fit->failures +=
      martlet_trainer_fit(fit->trainer, &fit->batch.x_array, 1, &fit->batch.label_array, 1, &options, NULL) != MARTLET_OK;
  return NULL;
}

static void begin_fit(held_fit *fit) {
  memset(fit, 0, sizeof *fit);
  pthread_mutex_init(&fit->mutex, NULL);
  pthread_cond_init(&fit->changed, NULL);
  fit->model = make_model(5);
  make_batch(&fit->batch, 2);
  CHECK_OK(martlet_trainer_create(&fit->trainer, fit->model, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
  CHECK_INT(0, pthread_create(&fit->thread, NULL, run_fit, fit));
  pthread_mutex_lock(&fit->mutex);
  while (!fit->inside) pthread_cond_wait(&fit->changed, &fit->mutex);
  pthread_mutex_unlock(&fit->mutex);
}

static void end_fit(held_fit *fit) {
  pthread_mutex_lock(&fit->mutex);
  fit->may_leave = 1;
  pthread_cond_broadcast(&fit->changed);
  pthread_mutex_unlock(&fit->mutex);
  pthread_join(fit->thread, NULL);
  CHECK_INT(0, fit->failures);
}

static void destroy_fit(held_fit *fit) {
  martlet_trainer_destroy(fit->trainer);
  martlet_model_destroy(fit->model);
  pthread_cond_destroy(&fit->changed);
  pthread_mutex_destroy(&fit->mutex);
}

static int32_t no_sum(double *sums, int64_t count, void *payload) {
  (void)sums, (void)count, (void)payload;
  return 0;
}

/* Every call on a model that another thread trains. */
static void test_model_in_training(void) {
  static held_fit fit;
  begin_fit(&fit);
  const unsigned busy = STATUS(INVALID_STATE);
  const char *word = "in use by another thread";
  net_batch batch;
  martlet_result result;
  martlet_view view;
  martlet_model *other = NULL, *part = NULL;
  martlet_trainer *trainer = NULL;
  martlet_findings *findings = NULL;
  martlet_tensor_info info;
  martlet_batch_norm_switches switches;
  char text[64];
  size_t length = 0;
  float bias[NET_HIDDEN] = {0};
  const int64_t bias_shape[1] = {NET_HIDDEN};
  const martlet_array bias_array = floats_of(bias, 1, bias_shape);
  const char *const names[] = {"dense1"}, *const tensors[] = {"dense1.bias"};
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  memset(&switches, 0, sizeof switches);
  switches.struct_size = sizeof switches;
  make_batch(&batch, 3);
  martlet_model *model = fit.model;
  CHECK_OK(martlet_model_create_submodel(&part, model, names, 1));
  CHECK_FAILS(busy, word, martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  CHECK_FAILS(busy, word, martlet_model_predict_rows(model, batch.x, NET_ROWS, batch.out));
  CHECK_FAILS(busy, word, martlet_model_forward(model, &batch.x_array, 1, 1));
  CHECK_FAILS(busy, word, martlet_model_forward(part, &batch.x_array, 1, 0));
  CHECK_FAILS(busy, word, martlet_model_backward(model, &batch.grad_array, 1, 0));
  CHECK_FAILS(busy, word, martlet_model_output(model, 0, &view));
  CHECK_FAILS(busy, word, martlet_model_input_gradient(model, 0, &view));
  CHECK_FAILS(busy, word, martlet_model_clone(&other, model));
  CHECK_FAILS(busy, word, martlet_model_fold(&other, NULL, model, NULL, 0));
  CHECK_FAILS(busy, word, martlet_model_check(&findings, model, NULL, 0, NULL));
  CHECK_FAILS(busy, word, martlet_model_plan(model, 4, 1, NULL, 0, &length));
  CHECK_FAILS(busy, word, martlet_model_architecture(model, text, sizeof text, &length));
  CHECK_FAILS(busy, word, martlet_model_save(model, "/nonexistent/never-written.safetensors"));
  CHECK_FAILS(busy, word,
              martlet_model_load_weights(NULL, model, "/nonexistent/never-read.safetensors", 1, MARTLET_FLATTEN_UNKNOWN));
  CHECK_FAILS(busy, word, martlet_model_set_tensors(model, tensors, &bias_array, 1, 0));
  CHECK_FAILS(busy, word, martlet_model_read_tensor(model, "dense1.bias", &bias_array));
  CHECK_FAILS(busy, word, martlet_model_tensor_spec_at(model, 0, &info));
  CHECK_FAILS(busy, word, martlet_model_set_trainable(model, "dense1.bias", 0));
  CHECK_FAILS(busy, word, martlet_model_set_batch_norm_switches(model, NULL, &switches));
  CHECK_FAILS(busy, word, martlet_model_batch_norm_switches(model, "norm1", &switches));
  CHECK_FAILS(busy, word, martlet_model_update_population_statistics(model, &batch.x_array, 1, 0));
  CHECK_FAILS(busy, word, martlet_model_fit_input_normalization(model, &batch.x_array, 1, 0));
  CHECK_FAILS(busy, word, martlet_model_begin_statistics(model));
  CHECK_FAILS(busy, word, martlet_model_commit_statistics(model));
  CHECK_FAILS(busy, word, martlet_model_rollback_statistics(model));
  CHECK_FAILS(busy, word, martlet_model_set_all_reduce(model, no_sum, NULL));
  CHECK_FAILS(busy, word, martlet_model_set_inference_weights(model, 1));
  /* The trainer, and another one of the same model. */
  CHECK_FAILS(busy, word, martlet_trainer_step(fit.trainer, &batch.x_array, 1, &batch.label_array, 1, &result));
  CHECK_FAILS(busy, word, martlet_trainer_fit(fit.trainer, &batch.x_array, 1, &batch.label_array, 1, NULL, &result));
  CHECK_FAILS(busy, word, martlet_trainer_evaluate(fit.trainer, &batch.x_array, 1, &batch.label_array, 1, 0, &result));
  CHECK_FAILS(busy, word, martlet_trainer_set_learning_rate(fit.trainer, 1));
  CHECK_FAILS(busy, word, martlet_trainer_set_micro_batch_size(fit.trainer, 2));
  CHECK_OK(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
  CHECK_FAILS(busy, word, martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, &result));
  CHECK_OK(martlet_trainer_set_learning_rate(trainer, 1));
  martlet_trainer_destroy(trainer);
  end_fit(&fit);
  /* Afterwards all of it is possible again. */
  CHECK_OK(martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  CHECK_OK(martlet_trainer_step(fit.trainer, &batch.x_array, 1, &batch.label_array, 1, &result));
  CHECK_OK(martlet_model_set_trainable(model, "dense1.bias", 0));
  martlet_model_destroy(part);
  destroy_fit(&fit);
}

/* A process that forks while another thread trains: in the child nobody does. */
static void test_fork_in_the_middle(void) {
  static held_fit fit;
  begin_fit(&fit);
  fflush(NULL);
  const pid_t child = fork();
  if (child == 0) {
    net_batch batch;
    alarm(60);
    make_batch(&batch, 3);
    int failures = martlet_model_predict(fit.model, &batch.x_array, 1, 0, &batch.out_array, 1) != MARTLET_OK;
    failures += martlet_model_set_trainable(fit.model, "dense1.bias", 0) != MARTLET_OK;
    _exit(failures);
  }
  int status = 0;
  CHECK_INT(child, waitpid(child, &status, 0));
  CHECK_INT(0, status);
  end_fit(&fit);
  destroy_fit(&fit);
}

/* ---- storms: whatever comes of it, every call returns OK or MARTLET_INVALID_STATE, and the process lives ---- */

enum { THREADS = 4, REPEATS = 300 };

typedef struct storm {
  pthread_t thread;
  int number, ok, busy, other;
  martlet_model *model;
  martlet_trainer *trainer;
  martlet_statistics *statistics;
  martlet_graph *graph;
  martlet_shift_recorder *recorder;
} storm;

static void note(storm *w, martlet_status status) {
  if (status == MARTLET_OK) {
    w->ok++;
  } else if (status == MARTLET_INVALID_STATE) {
    w->busy++;
  } else {
    w->other++;
    fprintf(stderr, "    %s\n", martlet_last_error_message());
  }
}

static void *freeze_beside_predict(void *argument) {
  storm *w = (storm *)argument;
  net_batch batch;
  martlet_batch_norm_switches switches;
  make_batch(&batch, (uint32_t)w->number);
  memset(&switches, 0, sizeof switches);
  switches.struct_size = sizeof switches;
  for (int i = 0; i < REPEATS; i++) {
    if (w->number == 0) {
      switches.updates_moving = i & 1;
      switches.trains_scale_shift = i & 1;
      note(w, martlet_model_set_batch_norm_switches(w->model, NULL, &switches));
    } else {
      note(w, martlet_model_predict(w->model, &batch.x_array, 1, 1 + i % 7, &batch.out_array, 1));
    }
  }
  return NULL;
}

static void *step_beside_step(void *argument) {
  storm *w = (storm *)argument;
  net_batch batch;
  make_batch(&batch, (uint32_t)w->number);
  for (int i = 0; i < REPEATS; i++) {
    note(w, martlet_trainer_step(w->trainer, &batch.x_array, 1, &batch.label_array, 1, NULL));
  }
  return NULL;
}

static void *forward_beside_output(void *argument) {
  storm *w = (storm *)argument;
  net_batch batch;
  martlet_view view;
  make_batch(&batch, (uint32_t)w->number);
  for (int i = 0; i < REPEATS; i++) {
    note(w,
         w->number % 2 ? martlet_model_output(w->model, 0, &view) : martlet_model_forward(w->model, &batch.x_array, 1, i & 1));
  }
  return NULL;
}

static void *use_small_objects(void *argument) {
  storm *w = (storm *)argument;
  net_batch batch;
  double mean[NET_INPUTS], variance[NET_INPUTS];
  const int64_t shape[1] = {NET_INPUTS};
  const martlet_array mean_array = array_of(mean, MARTLET_FLOAT64, 1, shape);
  const martlet_array variance_array = array_of(variance, MARTLET_FLOAT64, 1, shape);
  martlet_shift_record record;
  size_t length = 0;
  make_batch(&batch, (uint32_t)w->number);
  for (int i = 0; i < REPEATS / 3; i++) {
    martlet_node node = -1;
    int64_t count = 0;
    memset(&record, 0, sizeof record);
    record.struct_size = sizeof record;
    note(w, martlet_statistics_add(w->statistics, &batch.x_array, -1));
    note(w, martlet_statistics_read(w->statistics, 0, &mean_array, &variance_array, &count));
    note(w, martlet_graph_input(w->graph, NULL, 1, shape, &node));
    note(w, martlet_shift_recorder_record(w->recorder, i, &batch.x_array, 1));
    if (martlet_shift_recorder_count(w->recorder) > 0) note(w, martlet_shift_recorder_at(w->recorder, 0, &record));
    note(w, martlet_shift_recorder_csv(w->recorder, NULL, 0, &length));
  }
  return NULL;
}

static void run_storm(void *(*function)(void *), int all_may_be_busy) {
  storm workers[THREADS], shared;
  const char *const names[] = {"norm1"};
  net_batch batch;
  memset(&shared, 0, sizeof shared);
  make_batch(&batch, 1);
  shared.model = make_model(5);
  CHECK_OK(martlet_trainer_create(&shared.trainer, shared.model, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
  CHECK_OK(martlet_statistics_create(&shared.statistics, NET_INPUTS));
  CHECK_OK(martlet_statistics_add(shared.statistics, &batch.x_array, -1));
  CHECK_OK(martlet_graph_create(&shared.graph));
  CHECK_OK(martlet_shift_recorder_create(&shared.recorder, shared.model, names, 1, NULL));
  CHECK_OK(martlet_model_forward(shared.model, &batch.x_array, 1, 0));
  int ok = 0;
  for (int i = 0; i < THREADS; i++) {
    workers[i] = shared;
    workers[i].number = i;
    if (pthread_create(&workers[i].thread, NULL, function, &workers[i]) != 0) exit(2);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(workers[i].thread, NULL);
    CHECK_INT(0, workers[i].other);
    ok += workers[i].ok;
    if (!all_may_be_busy) CHECK_INT(0, workers[i].busy);
  }
  CHECK(ok > 0);
  /* And nobody is left in possession. */
  CHECK_OK(martlet_trainer_step(shared.trainer, &batch.x_array, 1, &batch.label_array, 1, NULL));
  CHECK_OK(martlet_statistics_add(shared.statistics, &batch.x_array, -1));
  CHECK_OK(martlet_shift_recorder_record(shared.recorder, 1, &batch.x_array, 1));
  martlet_shift_recorder_destroy(shared.recorder);
  martlet_graph_destroy(shared.graph);
  martlet_statistics_destroy(shared.statistics);
  martlet_trainer_destroy(shared.trainer);
  martlet_model_destroy(shared.model);
}

static void *only_read(void *argument) {
  storm *w = (storm *)argument;
  net_batch batch;
  martlet_result result;
  martlet_model *copy = NULL;
  size_t length = 0;
  make_batch(&batch, (uint32_t)w->number);
  for (int i = 0; i < REPEATS / 3; i++) {
    note(w, martlet_model_predict(w->model, &batch.x_array, 1, 0, &batch.out_array, 1));
    note(w, martlet_trainer_evaluate(w->trainer, &batch.x_array, 1, &batch.label_array, 1, 0, &result));
    note(w, martlet_model_architecture(w->model, NULL, 0, &length));
    note(w, martlet_model_clone(&copy, w->model));
    martlet_model_destroy(copy);
  }
  return NULL;
}

static void test_freeze_beside_predict(void) {
  run_storm(freeze_beside_predict, 1);
}
static void test_step_beside_step(void) {
  run_storm(step_beside_step, 1);
}
static void test_forward_beside_output(void) {
  run_storm(forward_beside_output, 1);
}
static void test_small_objects(void) {
  run_storm(use_small_objects, 1);
}
static void test_reading_excludes_nobody(void) {
  run_storm(only_read, 0);
}

static const check_test tests[] = {TEST(test_model_in_training),      TEST(test_fork_in_the_middle),
                                   TEST(test_freeze_beside_predict),  TEST(test_step_beside_step),
                                   TEST(test_forward_beside_output),  TEST(test_small_objects),
                                   TEST(test_reading_excludes_nobody)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
