/* Trainers: steps, evaluation, whole epochs, callbacks. */
#include "models.h"

static const size_t bad_sizes[] = {0, 1, 4, (size_t)-1};

static martlet_trainer *make_trainer(martlet_model *model) {
  martlet_trainer *trainer = NULL;
  martlet_optimizer_options options = MARTLET_OPTIMIZER_OPTIONS_INIT;
  options.learning_rate = 0.1;
  CHECK_OK(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, &options, 1));
  return trainer;
}

static void test_create(void) {
  martlet_model *model = make_model(0);
  martlet_trainer *out;
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_trainer_create(NULL, model, 0, NULL, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_trainer_create(&out, NULL, 0, NULL, 0));
  const int32_t losses[] = {-1, 3, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(losses); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "loss", martlet_trainer_create(&out, model, losses[i], NULL, 0));
  }
  martlet_optimizer_options options = MARTLET_OPTIMIZER_OPTIONS_INIT;
  for (int i = 0; i < CHECK_COUNT(bad_sizes); i++) {
    options.struct_size = bad_sizes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_trainer_create(&out, model, 0, &options, 0));
  }
  options.struct_size = sizeof options;
  options.learning_rate = (double)NAN;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "learning_rate", martlet_trainer_create(&out, model, 0, &options, 0));
  UNWATCH_ALL();
  CHECK_OK(martlet_trainer_create(&out, model, MARTLET_LOSS_MEAN_SQUARED_ERROR, NULL, 0));
  CHECK_CLOSE(0.01, martlet_trainer_learning_rate(out), 0);
  martlet_trainer_destroy(out);
  martlet_trainer_destroy(NULL);
  martlet_model_destroy(model);
}

static void test_learning_rate(void) {
  martlet_model *model = make_model(0);
  martlet_trainer *trainer = make_trainer(model);
  CHECK_OK(martlet_trainer_set_learning_rate(trainer, 0.5));
  const double bad[] = {-1, (double)NAN, (double)INFINITY, -(double)INFINITY};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "learning_rate", martlet_trainer_set_learning_rate(trainer, bad[i]));
    CHECK_CLOSE(0.5, martlet_trainer_learning_rate(trainer), 0);
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "trainer", martlet_trainer_set_learning_rate(NULL, 0.5));
  CHECK(isnan(martlet_trainer_learning_rate(NULL)));
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
}

/* ---- the three functions that take data refuse the same things ---- */

enum { STEP, EVALUATE, FIT };
typedef struct data_call {
  martlet_trainer *trainer;
  int function, replaces_target;
  net_batch batch;
  martlet_result result;
} data_call;

static martlet_status run(data_call *c, const martlet_array *inputs, int32_t input_count, const martlet_array *targets,
                          int32_t target_count) {
  if (c->function == STEP) return martlet_trainer_step(c->trainer, inputs, input_count, targets, target_count, &c->result);
  if (c->function == FIT) return martlet_trainer_fit(c->trainer, inputs, input_count, targets, target_count, NULL, &c->result);
  return martlet_trainer_evaluate(c->trainer, inputs, input_count, targets, target_count, 2, &c->result);
}

static martlet_status run_with(const martlet_array *argument, void *context) {
  data_call *c = (data_call *)context;
  return c->replaces_target ? run(c, &c->batch.x_array, 1, argument, 1) : run(c, argument, 1, &c->batch.label_array, 1);
}

static void test_data_arguments(void) {
  martlet_model *model = make_model(0);
  data_call c;
  memset(&c, 0, sizeof c);
  c.trainer = make_trainer(model);
  make_batch(&c.batch, 1);
  watch_model(model);
  POISON(c.result);
  for (c.function = STEP; c.function <= FIT; c.function++) {
    const net_batch *b = &c.batch;
    c.replaces_target = 0;
    check_array_argument(run_with, &c, &b->x_array, "inputs", ARRAY_INPUT);
    c.replaces_target = 1;
    check_array_argument(run_with, &c, &b->label_array, "targets", ARRAY_INPUT);
    const int32_t counts[] = {0, -1, 2, INT32_MIN, INT32_MAX};
    for (int i = 0; i < CHECK_COUNT(counts); i++) {
      CHECK_FAILS(BAD_SHAPE, "input", run(&c, &b->x_array, counts[i], &b->label_array, 1));
      CHECK_FAILS(BAD_SHAPE, "target", run(&c, &b->x_array, 1, &b->label_array, counts[i]));
    }
    CHECK_FAILS(STATUS(SHAPE_MISMATCH), "inputs", run(&c, &b->out_array, 1, &b->label_array, 1));
    const int64_t fewer[1] = {NET_ROWS - 1};
    const martlet_array short_labels = array_of(c.batch.labels, MARTLET_INT64, 1, fewer);
    CHECK_FAILS(STATUS(SHAPE_MISMATCH), "targets", run(&c, &b->x_array, 1, &short_labels, 1));
    const int64_t outside[] = {-1, NET_CLASSES, INT64_MIN, INT64_MAX};
    for (int i = 0; i < CHECK_COUNT(outside); i++) {
      int64_t wrong[NET_ROWS];
      memcpy(wrong, c.batch.labels, sizeof wrong);
      wrong[NET_ROWS - 1] = outside[i]; /* the last: those before it must not have been trained on */
      const martlet_array labels = array_of(wrong, MARTLET_INT64, 1, net_label_shape);
      CHECK_FAILS(STATUS(INVALID_ARGUMENT), "targets", run(&c, &b->x_array, 1, &labels, 1));
    }
    martlet_trainer *trainer = c.trainer;
    c.trainer = NULL;
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "trainer", run(&c, &b->x_array, 1, &b->label_array, 1));
    c.trainer = trainer;
  }
  const net_batch *b = &c.batch;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out",
              martlet_trainer_evaluate(c.trainer, &b->x_array, 1, &b->label_array, 1, 2, NULL));
  const int64_t sizes[] = {-1, INT64_MIN};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "batch_size",
                martlet_trainer_evaluate(c.trainer, &b->x_array, 1, &b->label_array, 1, sizes[i], &c.result));
  }
  UNWATCH_ALL();
  CHECK_OK(martlet_trainer_step(c.trainer, &b->x_array, 1, &b->label_array, 1, NULL));
  martlet_trainer_destroy(c.trainer);
  martlet_model_destroy(model);
}

/* A step is forward, loss, backward and update by hand, to the bit. */
static void test_step_is_the_loop_by_hand(void) {
  martlet_model *model = make_model(3), *by_hand = make_model(3);
  net_batch batch;
  make_batch(&batch, 1);
  martlet_trainer *trainer = make_trainer(model);
  martlet_optimizer *optimizer = NULL;
  martlet_optimizer_options options = MARTLET_OPTIMIZER_OPTIONS_INIT;
  options.learning_rate = 0.1;
  CHECK_OK(martlet_optimizer_create(&optimizer, by_hand, &options));
  double first = 0, loss = 0;
  for (int step = 0; step < 5; step++) {
    martlet_result result;
    CHECK_OK(martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, &result));
    CHECK_INT(NET_ROWS, result.rows);
    martlet_view output;
    int64_t correct = 0;
    CHECK_OK(martlet_model_forward(by_hand, &batch.x_array, 1, 1));
    CHECK_OK(martlet_model_output(by_hand, 0, &output));
    const martlet_array logits = floats_of((float *)output.data, 2, net_output_shape);
    CHECK_OK(martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &logits, &batch.label_array, &loss, &correct, &batch.grad_array));
    CHECK_OK(martlet_model_backward(by_hand, &batch.grad_array, 1, 0));
    CHECK_OK(martlet_optimizer_step(optimizer));
    CHECK_CLOSE(loss, result.loss, 0);
    CHECK_INT(correct, result.correct);
    if (step == 0) first = loss;
  }
  CHECK(loss < first);
  CHECK(model_fingerprint(model) == model_fingerprint(by_hand));
  martlet_model_destroy(model);
  CHECK_OK(martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, NULL)); /* it holds on to the model */
  martlet_trainer_destroy(trainer);
  martlet_optimizer_destroy(optimizer);
  martlet_model_destroy(by_hand);
}

static void test_evaluate(void) {
  martlet_model *model = make_model(3);
  martlet_trainer *trainer = make_trainer(model);
  net_batch batch;
  make_batch(&batch, 1);
  const uint64_t before = model_fingerprint(model);
  martlet_result whole, parts;
  CHECK_OK(martlet_trainer_evaluate(trainer, &batch.x_array, 1, &batch.label_array, 1, 0, &whole));
  CHECK_INT(NET_ROWS, whole.rows);
  const int64_t sizes[] = {1, 4, 6, 1000};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    CHECK_OK(martlet_trainer_evaluate(trainer, &batch.x_array, 1, &batch.label_array, 1, sizes[i], &parts));
    CHECK_CLOSE(whole.loss, parts.loss, 1e-7);
    CHECK_INT(whole.correct, parts.correct);
  }
  CHECK(model_fingerprint(model) == before);
  double loss = 0;
  CHECK_OK(martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  CHECK_OK(martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &batch.out_array, &batch.label_array, &loss, NULL, NULL));
  CHECK_CLOSE(loss, whole.loss, 1e-6);
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
}

static void test_fit_options(void) {
  martlet_model *model = make_model(3);
  martlet_trainer *trainer = make_trainer(model);
  net_batch batch;
  make_batch(&batch, 1);
  martlet_result result;
  watch_model(model);
  POISON(result);
  const martlet_fit_options defaults = MARTLET_FIT_OPTIONS_INIT;
  martlet_fit_options options = defaults;
#define FIT_WITH() martlet_trainer_fit(trainer, &batch.x_array, 1, &batch.label_array, 1, &options, &result)
  for (int i = 0; i < CHECK_COUNT(bad_sizes); i++) {
    options.struct_size = bad_sizes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", FIT_WITH());
  }
  const int64_t bad[] = {-1, INT64_MIN};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    options = defaults;
    options.epochs = bad[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "epochs", FIT_WITH());
    options = defaults;
    options.batch_size = bad[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "batch_size", FIT_WITH());
  }
  options = defaults;
  options.batch_size = 0;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "batch_size", FIT_WITH());
  options = defaults;
  options.validation_inputs = &batch.x_array; /* without targets */
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "validation_targets", FIT_WITH());
  options = defaults;
  options.validation_targets = &batch.label_array;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "validation_inputs", FIT_WITH());
  options.validation_inputs = &batch.out_array;
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "validation_inputs", FIT_WITH());
  options = defaults;
  options.batch_size = NET_ROWS - 1; /* a last batch of one row under batch norm */
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), NULL, FIT_WITH());
  options.drop_last = 1;
  UNWATCH_ALL();
  CHECK_OK(FIT_WITH());
  CHECK_INT(NET_ROWS - 1, result.rows);
  options = defaults;
  const uint64_t before = model_fingerprint(model);
  options.epochs = 0;
  CHECK_OK(FIT_WITH());
  CHECK(model_fingerprint(model) == before);
  options.epochs = 1;
  options.batch_size = INT64_MAX; /* one batch of all rows */
  CHECK_OK(FIT_WITH());
  CHECK_INT(NET_ROWS, result.rows);
#undef FIT_WITH
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
}

/* ---- callbacks ---- */

typedef struct diary {
  martlet_trainer *trainer;
  martlet_model *model;
  int64_t steps, epochs, stop_at;
  int allowed_calls_failed;
} diary;

static int32_t on_event(const martlet_training_event *event, void *payload) {
  diary *d = (diary *)payload;
  net_batch batch;
  make_batch(&batch, 2);
  martlet_result result;
  if (martlet_trainer_evaluate(d->trainer, &batch.x_array, 1, &batch.label_array, 1, 0, &result) != MARTLET_OK ||
      martlet_trainer_set_learning_rate(d->trainer, 0.05) != MARTLET_OK ||
      martlet_model_predict(d->model, &batch.x_array, 1, 0, &batch.out_array, 1) != MARTLET_OK) {
    d->allowed_calls_failed = 1;
  }
  if (event->kind == MARTLET_EVENT_STEP) {
    d->steps++;
    CHECK_INT(d->steps, event->step);
    CHECK_INT(0, event->has_validation);
    CHECK(event->training.rows == 4 || event->training.rows == 2);
  } else {
    CHECK_INT(MARTLET_EVENT_EPOCH, event->kind);
    CHECK_INT(d->epochs, event->epoch);
    d->epochs++;
    CHECK_INT(1, event->has_validation);
    CHECK_INT(NET_ROWS, event->validation.rows);
    CHECK_INT(NET_ROWS, event->training.rows);
  }
  CHECK_INT(3, event->epochs);
  CHECK_INT(6, event->steps);
  return d->steps == d->stop_at;
}

static void test_callback(void) {
  net_batch batch;
  make_batch(&batch, 1);
  for (int stopped = 0; stopped <= 1; stopped++) {
    martlet_model *model = make_model(3);
    diary d;
    memset(&d, 0, sizeof d);
    d.model = model;
    d.trainer = make_trainer(model);
    d.stop_at = stopped ? 3 : -1;
    martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
    options.epochs = 3;
    options.batch_size = 4;
    options.validation_inputs = &batch.x_array;
    options.validation_targets = &batch.label_array;
    options.callback = on_event;
    options.payload = &d;
    martlet_result result;
    POISON(result);
    if (stopped) {
      CHECK_FAILS(STATUS(CANCELLED), NULL,
                  martlet_trainer_fit(d.trainer, &batch.x_array, 1, &batch.label_array, 1, &options, &result));
      CHECK_INT(3, d.steps);
      CHECK_INT(1, d.epochs);
      CHECK_OK(martlet_trainer_step(d.trainer, &batch.x_array, 1, &batch.label_array, 1, &result)); /* usable */
    } else {
      CHECK_OK(martlet_trainer_fit(d.trainer, &batch.x_array, 1, &batch.label_array, 1, &options, &result));
      CHECK_INT(6, d.steps);
      CHECK_INT(3, d.epochs);
    }
    UNWATCH_ALL();
    CHECK_INT(0, d.allowed_calls_failed);
    martlet_trainer_destroy(d.trainer);
    martlet_model_destroy(model);
  }
}

/* Labels that change between two steps: each step checks what it copied, and the fit ends with its error. */
typedef struct writer {
  int64_t *labels, wrong, steps;
  martlet_model *model;
  uint64_t fingerprint;
} writer;

static int32_t write_labels(const martlet_training_event *event, void *payload) {
  writer *w = (writer *)payload;
  w->steps = event->step;
  w->fingerprint = model_fingerprint(w->model);
  for (int row = 0; row < NET_ROWS; row++) w->labels[row] = w->wrong;
  return 0;
}

static void test_labels_written_by_a_callback(void) {
  const int64_t wrong[] = {NET_CLASSES, 1000000, -1, INT64_MIN, INT64_MAX};
  for (int i = 0; i < CHECK_COUNT(wrong); i++) {
    net_batch batch;
    make_batch(&batch, 1);
    martlet_model *model = make_model(3);
    martlet_trainer *trainer = make_trainer(model);
    martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
    options.batch_size = 2;
    writer w = {batch.labels, wrong[i], 0, model, 0};
    options.callback = write_labels;
    options.payload = &w;
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "targets[0]",
                martlet_trainer_fit(trainer, &batch.x_array, 1, &batch.label_array, 1, &options, NULL));
    CHECK_INT(1, w.steps);
    CHECK(model_fingerprint(model) == w.fingerprint);
    make_batch(&batch, 1);
    CHECK_OK(martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, NULL)); /* usable */
    martlet_trainer_destroy(trainer);
    martlet_model_destroy(model);
  }
}

/* No rows have no mean loss: NaN from an evaluation, an error for validation data. */
static void test_no_rows(void) {
  net_batch batch;
  make_batch(&batch, 1);
  martlet_model *model = make_model(3);
  martlet_trainer *trainer = make_trainer(model);
  martlet_array no_inputs = batch.x_array, no_labels = batch.label_array;
  int64_t input_shape[8] = {0}, label_shape[1] = {0};
  for (int axis = 1; axis < no_inputs.rank; axis++) input_shape[axis] = batch.x_array.shape[axis];
  no_inputs.shape = input_shape;
  no_labels.shape = label_shape;
  martlet_result result;
  CHECK_OK(martlet_trainer_evaluate(trainer, &no_inputs, 1, &no_labels, 1, 0, &result));
  CHECK(isnan(result.loss) && result.rows == 0 && result.correct == 0);
  CHECK_OK(martlet_trainer_step(trainer, &no_inputs, 1, &no_labels, 1, &result));
  CHECK(isnan(result.loss) && result.rows == 0);
  martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
  options.validation_inputs = &no_inputs;
  options.validation_targets = &no_labels;
  watch_model(model);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "validation_inputs",
              martlet_trainer_fit(trainer, &batch.x_array, 1, &batch.label_array, 1, &options, NULL));
  UNWATCH_ALL();
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
}

/* The same seed gives the same network, on any number of threads; another seed another order. */
static void test_fit_is_reproducible(void) {
  net_batch batch;
  make_batch(&batch, 1);
  const int32_t threads = martlet_num_threads();
  uint64_t fingerprints[4];
  for (int i = 0; i < 4; i++) {
    martlet_node input = -1, output = -1;
    martlet_graph *graph = make_graph(&input, &output, 0.25);
    martlet_model *model = NULL;
    CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 9));
    martlet_graph_destroy(graph);
    martlet_trainer *trainer = make_trainer(model);
    martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
    options.epochs = 4;
    options.batch_size = 2;
    const uint64_t seed = i == 3 ? 2 : 1;
    options.seed = &seed;
    CHECK_OK(martlet_set_num_threads(i == 1 ? 1 : i == 2 ? 5 : 2));
    CHECK_OK(martlet_trainer_fit(trainer, &batch.x_array, 1, &batch.label_array, 1, &options, NULL));
    fingerprints[i] = model_fingerprint(model);
    martlet_trainer_destroy(trainer);
    martlet_model_destroy(model);
  }
  CHECK(fingerprints[0] == fingerprints[1]);
  CHECK(fingerprints[0] == fingerprints[2]);
  CHECK(fingerprints[0] != fingerprints[3]);
  CHECK_OK(martlet_set_num_threads(threads));
}

static const check_test tests[] = {TEST(test_create),
                                   TEST(test_learning_rate),
                                   TEST(test_data_arguments),
                                   TEST(test_step_is_the_loop_by_hand),
                                   TEST(test_evaluate),
                                   TEST(test_fit_options),
                                   TEST(test_callback),
                                   TEST(test_fit_is_reproducible),
                                   TEST(test_labels_written_by_a_callback),
                                   TEST(test_no_rows)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
