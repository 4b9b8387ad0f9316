/* Whole training runs against PyTorch: the paper's network for twenty steps, and every optimizer. */
#include "golden.h"
#include "models.h"

/* Tolerances. The goldens are float64 runs, and a float32 run gathers its roundings over the steps. PyTorch's own float32 ends
 * within
 * 6e-7 of its float64 in weights and statistics, 3e-7 in losses and 5.4e-7 in logits (measured on these very runs): a sound
 * float32 implementation gets two to three times that. A wrong rule (momentum the other way round, a biased variance, decay on
 * a bias) is off by 1e-4 or more. */
static const double weight_tolerance = 1e-6, loss_tolerance = 1e-6, logit_tolerance = 2e-6;

/* Writes every record "<prefix><tensor>" that the model has a tensor for. */
static void load_start(martlet_model *model, const golden_file *file, const char *prefix) {
  for (int32_t i = 0; i < martlet_model_tensor_count(model); i++) {
    martlet_tensor_info info;
    info.struct_size = sizeof info;
    CHECK_OK(martlet_model_tensor_at(model, i, &info));
    golden_record *record = golden_find(file, prefix, info.name, "");
    if (record == NULL) continue;
    const martlet_array value = golden_array(record);
    CHECK_OK(martlet_model_set_tensors(model, &info.name, &value, 1, 0));
  }
}

/* Compares every tensor of the model that the file has; returns how many. */
static int check_end(const martlet_model *model, const golden_file *file, const char *prefix) {
  int compared = 0;
  for (int32_t i = 0; i < martlet_model_tensor_count(model); i++) {
    martlet_tensor_info info;
    info.struct_size = sizeof info;
    CHECK_OK(martlet_model_tensor_at(model, i, &info));
    const golden_record *record = golden_find(file, prefix, info.name, "");
    if (record == NULL) continue;
    compared++;
    CHECK_INT(record->count, element_count(info.value.rank, info.value.shape));
    if (info.value.dtype == MARTLET_INT64) {
      CHECK_INT((int64_t)record->values[0], *(int64_t *)info.value.data);
    } else {
      CHECK_GOLDEN(record, (float *)info.value.data, weight_tolerance * (1 + golden_largest(record)));
    }
  }
  return compared;
}

static martlet_model *paper_network(void) {
  static const int64_t input_shape[1] = {64}, units[] = {100, 100, 100, 10};
  martlet_graph *graph = NULL;
  martlet_node input = -1, node = -1;
  martlet_model *model = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, input_shape, &input));
  node = input;
  for (int i = 0; i < 4; i++) {
    char name[32];
    snprintf(name, sizeof name, "dense%d", i + 1);
    CHECK_OK(martlet_graph_dense(graph, name, node, units[i], NULL, &node));
    if (i == 3) break;
    snprintf(name, sizeof name, "norm%d", i + 1);
    CHECK_OK(martlet_graph_batch_norm(graph, name, node, NULL, &node));
    snprintf(name, sizeof name, "sigmoid%d", i + 1);
    CHECK_OK(martlet_graph_activation(graph, name, node, MARTLET_SIGMOID, &node));
  }
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &node, 1, 0));
  martlet_graph_destroy(graph);
  return model;
}

static void test_paper_network(void) {
  enum { STEPS = 20, ROWS = 300, BATCH = 60, INPUTS = 64, CLASSES = 10 };
  golden_file start = golden_read("paper_network_start"), run = golden_read("paper_network");
  golden_file hidden = golden_read("paper_network_hidden");
  golden_record *x = golden_get(&run, "", "x", ""), *labels = golden_get(&run, "", "labels", "");
  const golden_record *losses = golden_get(&run, "", "losses", ""), *correct = golden_get(&run, "", "correct", "");
  martlet_model *model = paper_network();
  load_start(model, &start, "");
  martlet_trainer *trainer = NULL;
  martlet_optimizer_options options = MARTLET_OPTIMIZER_OPTIONS_INIT;
  options.learning_rate = 0.1;
  CHECK_OK(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, &options, 0));
  const int64_t x_shape[2] = {BATCH, INPUTS}, label_shape[1] = {BATCH}, out_shape[2] = {BATCH, CLASSES};
  for (int step = 0; step < STEPS; step++) {
    const int first = step * BATCH % ROWS;
    const martlet_array batch = floats_of(x->floats + first * INPUTS, 2, x_shape);
    const martlet_array target = array_of(labels->integers + first, MARTLET_INT64, 1, label_shape);
    martlet_result result;
    memset(&result, 0, sizeof result);
    CHECK_OK(martlet_trainer_step(trainer, &batch, 1, &target, 1, &result));
    CHECK_CLOSE(losses->values[step], result.loss, loss_tolerance);
    CHECK_INT((int64_t)correct->values[step], result.correct);
  }
  CHECK_INT(6 + 3 * 5, check_end(model, &run, "end/")); /* all but the hidden weights, and what PyTorch does not count */
  CHECK_INT(2, check_end(model, &hidden, "end/"));
  float out[BATCH * CLASSES];
  const martlet_array batch = floats_of(x->floats, 2, x_shape), out_array = floats_of(out, 2, out_shape);
  CHECK_OK(martlet_model_predict(model, &batch, 1, 0, &out_array, 1));
  CHECK_GOLDEN(golden_get(&run, "", "logits", ""), out, logit_tolerance);
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
  golden_free(&start);
  golden_free(&run);
  golden_free(&hidden);
}

static martlet_model *tiny_network(void) {
  static const int64_t input_shape[1] = {5};
  martlet_graph *graph = NULL;
  martlet_node input = -1, node = -1;
  martlet_model *model = NULL;
  martlet_dense_options no_bias = MARTLET_DENSE_OPTIONS_INIT;
  no_bias.bias = 0;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, input_shape, &input));
  CHECK_OK(martlet_graph_dense(graph, "dense1", input, 7, &no_bias, &node));
  CHECK_OK(martlet_graph_batch_norm(graph, "norm1", node, NULL, &node));
  CHECK_OK(martlet_graph_activation(graph, "tanh1", node, MARTLET_TANH, &node));
  CHECK_OK(martlet_graph_dense(graph, "dense2", node, 3, NULL, &node));
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &node, 1, 0));
  martlet_graph_destroy(graph);
  return model;
}

static void check_optimizer(const golden_file *file, const char *prefix) {
  const martlet_array x = golden_array(golden_get(file, "", "x", "")),
                      labels = golden_array(golden_get(file, "", "labels", ""));
  const golden_record *losses = golden_get(file, prefix, "losses", "");
  martlet_optimizer_options options = MARTLET_OPTIMIZER_OPTIONS_INIT;
  options.kind = (int32_t)golden_number(file, prefix, "kind");
  options.nesterov = (int32_t)golden_number(file, prefix, "nesterov");
  options.learning_rate = golden_number(file, prefix, "learning_rate");
  options.momentum = golden_number(file, prefix, "momentum");
  options.beta1 = golden_number(file, prefix, "beta1");
  options.beta2 = golden_number(file, prefix, "beta2");
  options.epsilon = golden_number(file, prefix, "epsilon");
  options.weight_decay = golden_number(file, prefix, "weight_decay");
  options.decays_scale_shift_bias = (int32_t)golden_number(file, prefix, "decays_scale_shift_bias");
  martlet_model *model = tiny_network();
  martlet_trainer *trainer = NULL;
  load_start(model, file, "start/");
  CHECK_OK(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, &options, 0));
  for (int64_t step = 0; step < losses->count; step++) {
    martlet_result result;
    memset(&result, 0, sizeof result);
    CHECK_OK(martlet_trainer_step(trainer, &x, 1, &labels, 1, &result));
    CHECK_CLOSE(losses->values[step], result.loss, loss_tolerance);
  }
  char end[GOLDEN_MAX_NAME];
  snprintf(end, sizeof end, "%send/", prefix);
  CHECK_INT(1 + 5 + 2, check_end(model, file, end));
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
}

static void test_optimizers(void) {
  static const char *const cases[] = {"sgd/",        "sgd_momentum/", "sgd_nesterov_decay/", "sgd_decay_everywhere/", "adam/",
                                      "adam_decay/", "adamw/"};
  golden_file file = golden_read("optimizers");
  for (int i = 0; i < CHECK_COUNT(cases); i++) {
    const int failures = check_state.failures;
    check_optimizer(&file, cases[i]);
    if (check_state.failures != failures) fprintf(stderr, "    in optimizers, case %s\n", cases[i]);
  }
  golden_free(&file);
}

static const check_test tests[] = {TEST(test_paper_network), TEST(test_optimizers)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
