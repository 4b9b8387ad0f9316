/* NaN and infinity: steps that change nothing, what fits do about them, what checks and certificates say; epochs that count on. */
#include "models.h"

static const float not_a_number = NAN;

static martlet_trainer *make_trainer(martlet_model *model) {
  martlet_trainer *trainer = NULL;
  martlet_optimizer_options options = MARTLET_OPTIMIZER_OPTIONS_INIT;
  options.kind = MARTLET_ADAM;
  options.learning_rate = 0.1;
  CHECK_OK(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, &options, 1));
  return trainer;
}

/* Refused steps leave no trace: the trainer goes on with the bits of one that never saw them. */
static void test_step(void) {
  net_batch good, bad;
  make_batch(&good, 1);
  make_batch(&bad, 1);
  bad.x[3 * NET_INPUTS + 2] = not_a_number;
  martlet_model *models[2] = {make_model(3), make_model(3)};
  martlet_trainer *trainers[2] = {make_trainer(models[0]), make_trainer(models[1])};
  martlet_result results[2];
  for (int round = 0; round < 3; round++) {
    watch_model(models[0]);
    POISON(results[0]);
    CHECK_FAILS(STATUS(NOT_FINITE), "row 3",
                martlet_trainer_step(trainers[0], &bad.x_array, 1, &bad.label_array, 1, &results[0]));
    CHECK(strstr(martlet_last_error_message(), "inputs[0]") != NULL);
    UNWATCH_ALL();
    for (int i = 0; i < 2; i++) {
      CHECK_OK(martlet_trainer_step(trainers[i], &good.x_array, 1, &good.label_array, 1, &results[i]));
    }
    CHECK_CLOSE(results[1].loss, results[0].loss, 0);
    CHECK(model_fingerprint(models[0]) == model_fingerprint(models[1]));
  }
  for (int i = 0; i < 2; i++) {
    martlet_trainer_destroy(trainers[i]);
    martlet_model_destroy(models[i]);
  }
}

static void test_fit(void) {
  net_batch bad;
  make_batch(&bad, 1);
  bad.x[5 * NET_INPUTS] = not_a_number;
  martlet_model *model = make_model(3);
  martlet_trainer *trainer = make_trainer(model);
  martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
  options.epochs = 2;
  options.batch_size = 2;
  options.shuffle = 0;
  martlet_result result;
  POISON(result);
  CHECK_FAILS(STATUS(NOT_FINITE), "row 5",
              martlet_trainer_fit(trainer, &bad.x_array, 1, &bad.label_array, 1, &options, &result));
  CHECK(strstr(martlet_last_error_message(), "tep 3 of epoch 1") != NULL);
  UNWATCH_ALL();
  CHECK_INT(1, martlet_trainer_epoch(trainer));
  CHECK_INT(0, martlet_trainer_skipped_steps(trainer));
  options.on_nonfinite = MARTLET_NONFINITE_SKIP;
  CHECK_OK(martlet_trainer_fit(trainer, &bad.x_array, 1, &bad.label_array, 1, &options, &result));
  CHECK_INT(4, result.rows);
  CHECK(isfinite(result.loss));
  CHECK_INT(3, martlet_trainer_epoch(trainer));
  CHECK_INT(2, martlet_trainer_skipped_steps(trainer));
  const int32_t choices[] = {-1, 2, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(choices); i++) {
    options.on_nonfinite = choices[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "on_nonfinite",
                martlet_trainer_fit(trainer, &bad.x_array, 1, &bad.label_array, 1, &options, NULL));
  }
  options.on_nonfinite = MARTLET_NONFINITE_ERROR;
  options.reserved = 1;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "reserved",
              martlet_trainer_fit(trainer, &bad.x_array, 1, &bad.label_array, 1, &options, NULL));
  CHECK_INT(0, martlet_trainer_epoch(NULL));
  CHECK_INT(0, martlet_trainer_skipped_steps(NULL));
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
}

/* Several fits are one long fit, to the bit. */
static void test_epochs_count_on(void) {
  net_batch batch;
  make_batch(&batch, 1);
  uint64_t fingerprints[3];
  const int64_t epochs[3] = {6, 2, 1};
  for (int i = 0; i < 3; i++) {
    martlet_model *model = make_model(3);
    martlet_trainer *trainer = make_trainer(model);
    martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
    options.epochs = epochs[i];
    options.batch_size = 2;
    for (int64_t done = 0; done < 6; done += epochs[i]) {
      CHECK_OK(martlet_trainer_fit(trainer, &batch.x_array, 1, &batch.label_array, 1, &options, NULL));
      CHECK_INT(done + epochs[i], martlet_trainer_epoch(trainer));
    }
    fingerprints[i] = model_fingerprint(model);
    martlet_trainer_destroy(trainer);
    martlet_model_destroy(model);
  }
  CHECK(fingerprints[0] == fingerprints[1]);
  CHECK(fingerprints[0] == fingerprints[2]);
}

static void test_optimizer(void) {
  net_batch batch;
  make_batch(&batch, 1);
  martlet_model *model = make_model(3);
  martlet_optimizer *optimizer = NULL;
  CHECK_OK(martlet_optimizer_create(&optimizer, model, NULL));
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  batch.grad[4] = not_a_number;
  CHECK_OK(martlet_model_backward(model, &batch.grad_array, 1, 0));
  watch_model(model);
  CHECK_FAILS(STATUS(NOT_FINITE), "gradients", martlet_optimizer_step(optimizer));
  UNWATCH_ALL();
  martlet_optimizer_destroy(optimizer);
  martlet_model_destroy(model);
}

/* Numbers that float32 rounds out of their range. */
static void test_options(void) {
  martlet_model *model = make_model(0);
  martlet_optimizer *out;
  POISON(out);
  const martlet_optimizer_options defaults = MARTLET_OPTIMIZER_OPTIONS_INIT;
  for (int kind = MARTLET_SGD; kind <= MARTLET_ADAMW; kind++) {
    martlet_optimizer_options options = defaults;
    options.kind = kind;
    options.epsilon = 1e-50;
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "epsilon", martlet_optimizer_create(&out, model, &options));
    options.epsilon = 1e-8;
    options.learning_rate = 1e-50;
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "learning_rate", martlet_optimizer_create(&out, model, &options));
    options.learning_rate = 1e39;
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "learning_rate", martlet_optimizer_create(&out, model, &options));
    options.learning_rate = 0.1;
    options.beta2 = 0.99999999;
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "beta2", martlet_optimizer_create(&out, model, &options));
  }
  UNWATCH_ALL();
  martlet_trainer *trainer = make_trainer(model);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "learning_rate", martlet_trainer_set_learning_rate(trainer, 1e39));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "learning_rate", martlet_trainer_set_learning_rate(trainer, 1e-50));
  CHECK_CLOSE(0.1, martlet_trainer_learning_rate(trainer), 0);
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
}

static void test_check_and_certificate(void) {
  net_batch batch;
  make_batch(&batch, 1);
  martlet_model *model = make_model(3);
  float *weight = (float *)tensor_named(model, "dense1.weight").value.data;
  weight[NET_INPUTS] = not_a_number;
  martlet_findings *findings = NULL;
  CHECK_OK(martlet_model_check(&findings, model, NULL, 0, NULL));
  martlet_finding found;
  memset(&found, 0, sizeof found);
  found.struct_size = sizeof found;
  CHECK_OK(martlet_findings_at(findings, 0, &found));
  CHECK_TEXT("nonfinite_parameter", found.code);
  CHECK_TEXT("dense1", found.layer);
  CHECK_INT(MARTLET_SEVERITY_ERROR, found.severity);
  CHECK_INT(1, found.channel_count);
  CHECK(found.channel_count == 1 && found.channels[0] == 1);
  CHECK_CLOSE(1, found.value, 0);
  martlet_findings_destroy(findings);

  martlet_model *folded = NULL;
  martlet_folding *folding = NULL;
  CHECK_OK(martlet_model_fold(&folded, &folding, model, &batch.x_array, 1));
  martlet_folding_difference difference;
  CHECK_OK(martlet_folding_output_at(folding, 0, &difference));
  CHECK(isnan(difference.absolute) && difference.is_measured == 1 && difference.is_within_bound == 0);
  char text[4096];
  size_t length = 0;
  CHECK_OK(martlet_folding_text(folding, text, sizeof text, &length));
  CHECK(strstr(text, "NOT FINITE") != NULL && strstr(text, "dense1.weight") != NULL);
  martlet_folding_destroy(folding);
  martlet_model_destroy(folded);
  martlet_model_destroy(model);
}

static void test_accuracy(void) {
  float logits[4] = {NAN, 1, 3, 1};
  int64_t labels[2] = {0, 0};
  const int64_t shape[2] = {2, 2};
  const martlet_array output = floats_of(logits, 2, shape), target = array_of(labels, MARTLET_INT64, 1, shape);
  double loss = 0;
  int64_t correct = -1;
  CHECK_OK(martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &output, &target, &loss, &correct, NULL));
  CHECK_INT(1, correct);
  CHECK(isnan(loss));
}

static void test_unfitted_input_normalization(void) {
  net_batch batch;
  make_batch(&batch, 1);
  martlet_graph *graph = NULL;
  martlet_node node = -1, input = -1;
  martlet_model *model = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, net_input_shape, &input));
  CHECK_OK(martlet_graph_input_normalization(graph, "raw", input, 0, &node));
  CHECK_OK(martlet_graph_dense(graph, "dense", node, NET_CLASSES, NULL, &node));
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &node, 1, 1));
  martlet_graph_destroy(graph);
  martlet_trainer *trainer = make_trainer(model);
  CHECK_FAILS(STATUS(INVALID_STATE), "raw", martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  CHECK_FAILS(STATUS(INVALID_STATE), "raw", martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, NULL));
  CHECK_OK(martlet_model_fit_input_normalization(model, &batch.x_array, 1, 0));
  CHECK_OK(martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  CHECK_OK(martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, NULL));
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
}

static const check_test tests[] = {TEST(test_step),
                                   TEST(test_fit),
                                   TEST(test_epochs_count_on),
                                   TEST(test_optimizer),
                                   TEST(test_options),
                                   TEST(test_check_and_certificate),
                                   TEST(test_accuracy),
                                   TEST(test_unfitted_input_normalization)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
