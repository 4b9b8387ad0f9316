/* Checking a model: its findings with and without data, and that it is unchanged. */
#include "models.h"

static martlet_finding finding_at(const martlet_findings *findings, int32_t index) {
  martlet_finding found;
  memset(&found, 0, sizeof found);
  found.struct_size = sizeof found;
  CHECK_OK(martlet_findings_at(findings, index, &found));
  return found;
}

/* Where the code is among the findings; -1 if it is not. */
static int32_t place_of(const martlet_findings *findings, const char *code) {
  for (int32_t i = 0; i < martlet_findings_count(findings); i++) {
    if (strcmp(finding_at(findings, i).code, code) == 0) return i;
  }
  return -1;
}

static void test_without_data(void) {
  martlet_node input = -1, output = -1;
  martlet_graph *graph = make_graph(&input, &output, -1);
  martlet_model *model = NULL;
  martlet_findings *findings = NULL;
  martlet_check_options options = MARTLET_CHECK_OPTIONS_INIT;
  martlet_optimizer_options decay = MARTLET_OPTIMIZER_OPTIONS_INIT;
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 3));
  martlet_graph_destroy(graph);
  const uint64_t before = model_fingerprint(model);

  CHECK_OK(martlet_model_check(&findings, model, NULL, 0, NULL));
  CHECK_INT(2, martlet_findings_count(findings));
  martlet_finding found = finding_at(findings, 0);
  CHECK_TEXT("statistics_never_updated", found.code);
  CHECK_TEXT("norm1", found.layer);
  CHECK_INT(MARTLET_SEVERITY_WARNING, found.severity);
  CHECK(found.channels == NULL && found.channel_count == 0 && strlen(found.advice) > 10);
  found = finding_at(findings, 1);
  CHECK_TEXT("bias_before_batch_norm", found.code);
  CHECK_TEXT("dense1", found.layer);
  CHECK_INT(MARTLET_SEVERITY_NOTE, found.severity);
  CHECK(found.value == NET_HIDDEN && strstr(found.message, "\"norm1\" (batch_norm)") != NULL);
  martlet_findings_destroy(findings);

  decay.weight_decay = 0.125;
  decay.decays_scale_shift_bias = 1;
  options.optimizer = &decay;
  options.batch_size = 1;
  CHECK_OK(martlet_model_check(&findings, model, NULL, 0, &options));
  CHECK_INT(4, martlet_findings_count(findings));
  CHECK_TEXT("one_value_per_channel", finding_at(findings, 0).code);
  CHECK_INT(MARTLET_SEVERITY_ERROR, finding_at(findings, 0).severity);
  const int32_t place = place_of(findings, "weight_decay_on_scale");
  CHECK(place >= 0 && finding_at(findings, place).value == 0.125);

  char text[4096];
  size_t length = 0, again = 0;
  CHECK_OK(martlet_findings_text(findings, NULL, 0, &length));
  CHECK_OK(martlet_findings_text(findings, text, sizeof text, &again));
  CHECK(length == again && length == strlen(text) && strstr(text, "error one_value_per_channel: ") == text);
  CHECK(model_fingerprint(model) == before);
  martlet_model_destroy(model); /* the findings are their own */
  CHECK_TEXT("norm1", finding_at(findings, 0).layer);
  martlet_findings_destroy(findings);
}

static void test_with_data(void) {
  martlet_model *model = make_model(3);
  martlet_findings *findings = NULL;
  martlet_check_options options = MARTLET_CHECK_OPTIONS_INIT;
  net_batch batch;
  make_batch(&batch, 1);
  CHECK_OK(martlet_model_update_population_statistics(model, &batch.x_array, 1, 0));
  CHECK_OK(martlet_model_check(&findings, model, &batch.x_array, 1, NULL));
  CHECK_INT(1, martlet_findings_count(findings));
  CHECK_TEXT("bias_before_batch_norm", finding_at(findings, 0).code);
  martlet_findings_destroy(findings);

  /* Statistics of something else: a variance too small, a mean far away. */
  static const char *const names[] = {"norm1.running_mean", "norm1.running_var"};
  float values[2][NET_HIDDEN];
  static const int64_t shape[1] = {NET_HIDDEN};
  martlet_array arrays[2];
  for (int i = 0; i < 2; i++) {
    arrays[i] = floats_of(values[i], 1, shape);
    CHECK_OK(martlet_model_read_tensor(model, names[i], &arrays[i]));
  }
  values[0][4] += 100;
  values[1][2] = 1e-6f;
  values[1][1] *= 1e6f;
  CHECK_OK(martlet_model_set_tensors(model, names, arrays, 2, 0));
  options.targets = &batch.label_array;
  options.target_count = 1;
  const uint64_t before = model_fingerprint(model);
  CHECK_OK(martlet_model_check(&findings, model, &batch.x_array, 1, &options));
  CHECK(model_fingerprint(model) == before);
  int32_t place = place_of(findings, "moving_variance_off");
  CHECK(place >= 0);
  martlet_finding found = finding_at(findings, place);
  CHECK_TEXT("norm1", found.layer);
  CHECK_INT(2, found.channel_count);
  CHECK(found.channels[0] + found.channels[1] == 3); /* 1 and 2, the worse first */
  place = place_of(findings, "data_drifted");
  CHECK(place >= 0);
  found = finding_at(findings, place);
  int has_4 = 0;
  for (int64_t i = 0; i < found.channel_count; i++) has_4 |= found.channels[i] == 4;
  CHECK(has_4);
  CHECK(found.value >= 5);
  martlet_findings_destroy(findings);
  martlet_model_destroy(model);
}

typedef struct check_call {
  martlet_model *model;
  martlet_findings *out;
  martlet_check_options options;
  const martlet_array *data;
} check_call;

static martlet_status check_with_data(const martlet_array *data, void *context) {
  check_call *call = (check_call *)context;
  return martlet_model_check(&call->out, call->model, data, 1, &call->options);
}

static martlet_status check_with_targets(const martlet_array *targets, void *context) {
  check_call *call = (check_call *)context;
  call->options.targets = targets;
  call->options.target_count = 1;
  return martlet_model_check(&call->out, call->model, call->data, 1, &call->options);
}

static void test_refuses(void) {
  const martlet_check_options defaults = MARTLET_CHECK_OPTIONS_INIT;
  check_call call = {make_model(3), NULL, MARTLET_CHECK_OPTIONS_INIT, NULL};
  net_batch batch;
  make_batch(&batch, 1);
  call.data = &batch.x_array;
  check_array_argument(check_with_data, &call, &batch.x_array, "data", ARRAY_INPUT);
  call.options.loss = MARTLET_LOSS_MEAN_SQUARED_ERROR;
  check_array_argument(check_with_targets, &call, &batch.grad_array, "targets", ARRAY_INPUT);
  call.options = defaults;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_check(&call.out, NULL, NULL, 0, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_check(NULL, call.model, NULL, 0, NULL));
  const int32_t counts[] = {-1, 0, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(counts); i++) {
    CHECK_FAILS(STATUS(SHAPE_MISMATCH), "data", martlet_model_check(&call.out, call.model, &batch.x_array, counts[i], NULL));
    call.options.targets = &batch.label_array;
    call.options.target_count = counts[i];
    CHECK_FAILS(STATUS(SHAPE_MISMATCH), "targets", check_with_data(&batch.x_array, &call));
  }
  call.options = defaults;
  call.options.targets = &batch.label_array;
  call.options.target_count = 1;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "without data", martlet_model_check(&call.out, call.model, NULL, 0, &call.options));
  call.options = defaults;
  call.options.loss = 3;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "options.loss", check_with_data(&batch.x_array, &call));
  call.options = defaults;
  call.options.batch_size = -1;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "batch_size", check_with_data(&batch.x_array, &call));
  call.options = defaults;
  call.options.struct_size = 8;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", check_with_data(&batch.x_array, &call));
  call.options = defaults;
  martlet_optimizer_options optimizer = MARTLET_OPTIMIZER_OPTIONS_INIT;
  optimizer.learning_rate = -1;
  call.options.optimizer = &optimizer;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "learning_rate", check_with_data(&batch.x_array, &call));
  call.options = defaults;
  const int64_t none[2] = {0, NET_INPUTS};
  martlet_array empty = floats_of(batch.x, 2, none);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "rows", check_with_data(&empty, &call));
  batch.x[5] = (float)HUGE_VAL;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "finite", check_with_data(&batch.x_array, &call));
  CHECK(call.out == NULL);

  CHECK_OK(martlet_model_check(&call.out, call.model, NULL, 0, NULL));
  martlet_finding finding;
  size_t length = 0;
  memset(&finding, 0xA5, sizeof finding);
  finding.struct_size = sizeof finding - 1;
  WATCH(&finding, sizeof finding);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_findings_at(call.out, 0, &finding));
  UNWATCH_ALL();
  finding.struct_size = sizeof finding;
  WATCH(&finding, sizeof finding);
  const int32_t indices[] = {-1, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(indices); i++)
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_findings_at(call.out, indices[i], &finding));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "findings", martlet_findings_at(NULL, 0, &finding));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "findings", martlet_findings_text(NULL, NULL, 0, &length));
  UNWATCH_ALL();
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "info", martlet_findings_at(call.out, 0, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out_length", martlet_findings_text(call.out, NULL, 0, NULL));
  CHECK_INT(0, martlet_findings_count(NULL));
  martlet_findings_destroy(NULL);
  martlet_findings_destroy(call.out);
  martlet_model_destroy(call.model);
}

static const check_test tests[] = {TEST(test_without_data), TEST(test_with_data), TEST(test_refuses)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
