/* Recording internal covariate shift: around steps of a trainer, on a probe, and what is refused. */
#include "models.h"

static martlet_shift_record record_at(const martlet_shift_recorder *recorder, int64_t index) {
  martlet_shift_record found;
  memset(&found, 0, sizeof found);
  found.struct_size = sizeof found;
  CHECK_OK(martlet_shift_recorder_at(recorder, index, &found));
  return found;
}

static const char *const layers[2] = {"norm1", "dense2"};

static void test_around_steps(void) {
  martlet_model *model = make_model(3), *plain = make_model(3);
  martlet_trainer *trainer = NULL, *other = NULL;
  martlet_optimizer_options sgd = MARTLET_OPTIMIZER_OPTIONS_INIT;
  martlet_shift_recorder *recorder = NULL;
  net_batch batch;
  make_batch(&batch, 1);
  sgd.learning_rate = 0.5;
  CHECK_OK(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, &sgd, 0));
  CHECK_OK(martlet_trainer_create(&other, plain, MARTLET_LOSS_CROSS_ENTROPY, &sgd, 0));
  CHECK_OK(martlet_shift_recorder_create(&recorder, model, layers, 2, NULL));
  for (int64_t step = 0; step < 3; step++) {
    CHECK_OK(martlet_shift_recorder_before_update(recorder, step, &batch.x_array, 1, &batch.label_array, 1, NULL, 0));
    CHECK_INT(2 * step, martlet_shift_recorder_count(recorder));
    CHECK_OK(martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, NULL));
    CHECK_OK(martlet_shift_recorder_after_update(recorder, &batch.x_array, 1, &batch.label_array, 1));
    CHECK_OK(martlet_trainer_step(other, &batch.x_array, 1, &batch.label_array, 1, NULL));
  }
  CHECK(model_fingerprint(model) == model_fingerprint(plain)); /* training went on as without it */
  martlet_model_destroy(model);                                /* the recorder holds on to it */
  CHECK_INT(6, martlet_shift_recorder_count(recorder));
  for (int64_t i = 0; i < 6; i++) {
    const martlet_shift_record found = record_at(recorder, i);
    CHECK_INT(i / 2, found.step);
    CHECK_TEXT(layers[i % 2], found.layer);
    CHECK_INT(3, found.percentile_count);
    CHECK(found.percentiles[0] < found.percentiles[1] && found.percentiles[1] < found.percentiles[2]);
    CHECK(found.deviation > 0 && found.gradient_change > 0 && found.gradient_cosine > 0.5 && found.gradient_cosine <= 1);
  }
  char text[4096];
  size_t length = 0, again = 0;
  CHECK_OK(martlet_shift_recorder_csv(recorder, NULL, 0, &length));
  CHECK_OK(martlet_shift_recorder_csv(recorder, text, sizeof text, &again));
  CHECK(length == again && length == strlen(text));
  CHECK(strstr(text, "step,layer,mean,deviation,p15,p50,p85,gradient_change,gradient_cosine\n0,norm1,") == text);
  martlet_shift_recorder_destroy(recorder);
  martlet_trainer_destroy(trainer);
  martlet_trainer_destroy(other);
  martlet_model_destroy(plain);
}

/* On a probe whose answers are exact: the first layer's inputs are the batch itself. */
static void test_on_a_probe(void) {
  martlet_model *model = make_model(3);
  martlet_shift_recorder *recorder = NULL;
  martlet_shift_options options = MARTLET_SHIFT_OPTIONS_INIT;
  static const char *const first[1] = {"dense1"};
  static const double percentiles[2] = {0, 62.5};
  float values[3 * NET_INPUTS] = {0};
  static const int64_t shape[2] = {3, NET_INPUTS};
  const martlet_array probe = floats_of(values, 2, shape);
  for (int row = 0; row < 3; row++) values[row * NET_INPUTS + 2] = (float)(4 - 2 * row); /* 4, 2, 0 */
  options.percentiles = percentiles;
  options.percentile_count = 2;
  options.channel = 2;
  CHECK_OK(martlet_shift_recorder_create(&recorder, model, first, 1, &options));
  CHECK_OK(martlet_shift_recorder_record(recorder, -7, &probe, 1));
  const martlet_shift_record found = record_at(recorder, 0);
  CHECK_INT(-7, found.step);
  CHECK(found.mean == 2 && fabs(found.deviation - sqrt(8.0 / 3)) < 1e-15);
  CHECK(found.percentiles[0] == 0 && found.percentiles[1] == 2.5);
  CHECK(isnan(found.gradient_change) && isnan(found.gradient_cosine));
  martlet_shift_recorder_destroy(recorder);
  martlet_model_destroy(model);
}

typedef struct shift_call {
  martlet_model *model;
  martlet_shift_recorder *recorder;
  net_batch *batch;
} shift_call;

static martlet_status record_with(const martlet_array *inputs, void *context) {
  return martlet_shift_recorder_record(((shift_call *)context)->recorder, 0, inputs, 1);
}

static martlet_status before_with_targets(const martlet_array *targets, void *context) {
  shift_call *call = (shift_call *)context;
  return martlet_shift_recorder_before_update(call->recorder, 0, &call->batch->x_array, 1, targets, 1, NULL, 0);
}

static martlet_status create_with(shift_call *call, const char *const *names, int32_t count,
                                  const martlet_shift_options *options) {
  return martlet_shift_recorder_create(&call->recorder, call->model, names, count, options);
}

static void test_refuses(void) {
  net_batch batch;
  shift_call call = {make_model(3), NULL, &batch};
  const martlet_shift_options defaults = MARTLET_SHIFT_OPTIONS_INIT;
  martlet_shift_options options = defaults;
  static const char *const unknown[2] = {"norm1", "nope"};
  static const double high[1] = {100.5};
  make_batch(&batch, 1);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_shift_recorder_create(NULL, call.model, layers, 2, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_shift_recorder_create(&call.recorder, NULL, layers, 2, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "layer_names", create_with(&call, NULL, 2, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "layer_names", create_with(&call, layers, -1, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "at least one", create_with(&call, layers, 0, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nope", create_with(&call, unknown, 2, NULL));
  options.percentiles = high;
  options.percentile_count = 1;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "0...100", create_with(&call, layers, 2, &options));
  options.percentiles = NULL;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "percentiles", create_with(&call, layers, 2, &options));
  options = defaults;
  options.channel = NET_HIDDEN;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "channel", create_with(&call, layers, 2, &options));
  options.channel = -2;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "channel", create_with(&call, layers, 2, &options));
  options = defaults;
  options.loss = 9;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "loss", create_with(&call, layers, 2, &options));
  options = defaults;
  static const double twice[3] = {50, 15, 50};
  options.percentiles = twice;
  options.percentile_count = 3;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "percentiles: expected different numbers", create_with(&call, layers, 2, &options));
  options = defaults;
  options.struct_size = 4;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", create_with(&call, layers, 2, &options));
  CHECK(call.recorder == NULL);

  options = defaults;
  options.loss = MARTLET_LOSS_MEAN_SQUARED_ERROR;
  CHECK_OK(create_with(&call, layers, 2, &options));
  check_array_argument(record_with, &call, &batch.x_array, "inputs", ARRAY_INPUT);
  check_array_argument(before_with_targets, &call, &batch.grad_array, "target", ARRAY_INPUT);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "inputs", martlet_shift_recorder_record(call.recorder, 0, &batch.x_array, 2));
  CHECK_FAILS(
      STATUS(SHAPE_MISMATCH), "probe",
      martlet_shift_recorder_before_update(call.recorder, 0, &batch.x_array, 1, &batch.grad_array, 1, &batch.x_array, 0));
  const int64_t before = martlet_shift_recorder_count(call.recorder);
  /* A first call that had no second is forgotten; a second needs a first. */
  CHECK_OK(before_with_targets(&batch.grad_array, &call));
  CHECK_OK(before_with_targets(&batch.grad_array, &call));
  CHECK_OK(martlet_shift_recorder_after_update(call.recorder, &batch.x_array, 1, &batch.grad_array, 1));
  CHECK_INT(before + 2, martlet_shift_recorder_count(call.recorder));
  CHECK_FAILS(STATUS(INVALID_STATE), "before_update",
              martlet_shift_recorder_after_update(call.recorder, &batch.x_array, 1, &batch.grad_array, 1));

  martlet_shift_record record;
  size_t length = 0;
  memset(&record, 0xA5, sizeof record);
  record.struct_size = sizeof record;
  WATCH(&record, sizeof record);
  const int64_t indices[] = {-1, before + 2, INT64_MIN, INT64_MAX};
  for (int i = 0; i < CHECK_COUNT(indices); i++)
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_shift_recorder_at(call.recorder, indices[i], &record));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "recorder", martlet_shift_recorder_at(NULL, 0, &record));
  UNWATCH_ALL();
  record.struct_size = 3;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_shift_recorder_at(call.recorder, 0, &record));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "info", martlet_shift_recorder_at(call.recorder, 0, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "recorder", martlet_shift_recorder_csv(NULL, NULL, 0, &length));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out_length", martlet_shift_recorder_csv(call.recorder, NULL, 0, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "recorder", martlet_shift_recorder_record(NULL, 0, &batch.x_array, 1));
  CHECK_INT(0, martlet_shift_recorder_count(NULL));
  martlet_shift_recorder_destroy(NULL);
  martlet_shift_recorder_destroy(call.recorder);
  martlet_model_destroy(call.model);
}

static const check_test tests[] = {TEST(test_around_steps), TEST(test_on_a_probe), TEST(test_refuses)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
