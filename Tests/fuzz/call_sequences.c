/* Random sequences of calls with right and wrong arguments: nothing may crash, every failure has a message, and what succeeds
 * stays usable.
 *
 *   call_sequences [calls | seconds"s" [seed]]       default: 20000 calls, a seed from the clock, which is printed
 *
 * The same seed makes the same calls in the same build (compilers evaluate arguments in orders of their own). Objects live in a
 * few slots that calls fill, use and empty. Where a call takes an argument, a wrong one comes every few times: NULL, an odd
 * number, an array that lies. Handles that were destroyed are never used again: no library can survive that.
 */
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include "data_calls.h"
#include "plain_functions.h"
#include "training_calls.h"

/* ---- one group of calls each ---- */

static void call_machine(void) {
  const char *name = NULL;
  count_status(martlet_isa(one_in(4) ? NULL : &name));
  count_status(martlet_set_num_threads(any_int(1 + below(4)) % 64)); /* a thousand threads only slow the test down */
  (void)martlet_available_isa(any_int(0));
  (void)martlet_status_name(any_int(below(10)));
}

static void call_tensor(void) {
  lying_array a;
  const int slot = below(SLOTS);
  martlet_tensor *x = one_in(30) ? NULL : tensors[below(SLOTS)], *y = tensors[below(SLOTS)], *made = NULL;
  const int64_t shape[2] = {any_size(1 + below(5)), 1 + below(5)}, index[MARTLET_MAX_RANK] = {any_size(below(3)), any_size(0)};
  const int64_t vector[1] = {any_size(6)};
  martlet_view view;
  float value;
  switch (below(11)) {
    case 0: count_status(martlet_tensor_create(&made, any_array(&a, buffer, 2, 1 + below(5), 1 + below(5)))); break;
    case 1:
      if (shape[0] < 1000) count_status(martlet_tensor_create_filled(&made, any_int(2), one_in(20) ? NULL : shape, 1.5f));
      break;
    case 2: count_status(martlet_tensor_view(x, one_in(20) ? NULL : &view)); break;
    case 3: count_status(martlet_tensor_get(x, one_in(20) ? NULL : index, one_in(20) ? NULL : &value)); break;
    case 4: count_status(martlet_tensor_set(x, one_in(20) ? NULL : index, 2)); break;
    case 5: count_status(martlet_tensor_reshape(&made, x, any_int(1) == 1 ? 1 : 17, vector)); break;
    case 6: count_status(martlet_tensor_binary(&made, any_int(below(6)), x, y)); break;
    case 7: count_status(martlet_tensor_unary(&made, any_int(below(6)), x)); break;
    case 8: count_status(martlet_tensor_activation(&made, any_int(below(4)), x)); break;
    case 9: count_status(martlet_tensor_matmul(&made, x, y, any_int(below(2)), any_int(below(2)))); break;
    default:
      count_status(one_in(2)
                       ? martlet_tensor_softmax(&made, x)
                       : martlet_tensor_reduce(&made, any_int(below(4)), x, one_in(4) ? MARTLET_ALL_AXES : any_int(below(2))));
  }
  if (made != NULL) {
    martlet_tensor_destroy(tensors[slot]);
    tensors[slot] = made;
  }
}

static void call_statistics(void) {
  lying_array a, b;
  const int slot = below(SLOTS);
  martlet_statistics *made = NULL, *s = one_in(20) ? NULL : statistics[below(SLOTS)];
  int64_t count;
  switch (below(3)) {
    case 0:
      count_status(martlet_statistics_create(&made, any_size(3) % 1000));
      if (made != NULL) {
        martlet_statistics_destroy(statistics[slot]);
        statistics[slot] = made;
      }
      break;
    case 1: count_status(martlet_statistics_add(s, any_array(&a, buffer, 2, below(5), 3), any_int(-1))); break;
    default: {
      double mean[BUFFER / 8], variance[BUFFER / 8];
      const int64_t shape[1] = {3};
      const martlet_array right_mean = array_of(mean, MARTLET_FLOAT64, 1, shape);
      const martlet_array right_variance = array_of(variance, MARTLET_FLOAT64, 1, shape);
      count_status(martlet_statistics_read(s, any_int(below(2)), one_in(3) ? any_array(&a, results, 1, 3, 1) : &right_mean,
                                           one_in(3) ? any_array(&b, results + 16, 1, 3, 1) : &right_variance,
                                           one_in(2) ? NULL : &count));
    }
  }
}

static void call_graph(void) {
  const int slot = below(SLOTS);
  martlet_graph *graph = one_in(30) ? NULL : graphs[slot];
  const martlet_node input = any_int(last_node[slot]);
  martlet_node node = -1;
  martlet_dense_options dense = MARTLET_DENSE_OPTIONS_INIT;
  martlet_batch_norm_options norm = MARTLET_BATCH_NORM_OPTIONS_INIT;
  const int64_t shape[2] = {any_size(4) % 1000, 2};
  const char *name = any_name(NULL);
  if (one_in(20)) dense.struct_size = norm.struct_size = (size_t)below(40); /* too short */
  dense.bias = any_int(below(2));
  dense.weight_initializer.kind = any_int(below(7));
  dense.weight_initializer.value = any_number(0.5);
  norm.epsilon = any_number(1e-5);
  norm.momentum = any_number(0.9);
  norm.normalize_with = any_int(below(2));
  norm.cumulative = any_int(below(2));
  norm.scale = any_int(below(2));
  norm.debiased = any_int(below(2));
  norm.single_value = any_int(below(3));
  norm.virtual_batch_size = one_in(3) ? any_size(4) : 0;
  norm.renormalization.enabled = any_int(below(2));
  norm.renormalization.r_max = any_number(2);
  norm.renormalization.d_max = any_number(1);
  norm.renormalization.r_ramp_end = any_size(3);
  norm.renormalization.r_ramp_begin = norm.renormalization.d_ramp_begin = one_in(3) ? any_size(2) : 0;
  const martlet_normalization_options relative = any_normalization();
  switch (below(10)) {
    case 0: {
      martlet_graph *made = NULL;
      count_status(martlet_graph_create(&made));
      martlet_graph_destroy(graphs[slot]);
      graphs[slot] = made;
      count_status(martlet_graph_input(made, "in", 1, net_input_shape, &node));
      break;
    }
    case 1: count_status(martlet_graph_input(graph, name, any_int(1), one_in(20) ? NULL : shape, &node)); return;
    case 2: count_status(martlet_graph_dense(graph, name, input, any_size(3) % 1000, one_in(2) ? NULL : &dense, &node)); break;
    case 3:
      if (one_in(4)) {
        count_status(martlet_graph_weighted_batch_norm(graph, name, input, any_int(below(4)), one_in(2) ? NULL : &norm, &node));
      } else {
        count_status(martlet_graph_batch_norm(graph, name, input, one_in(2) ? NULL : &norm, &node));
      }
      break;
    case 4: count_status(martlet_graph_activation(graph, name, input, any_int(1 + below(3)), &node)); break;
    case 5: count_status(martlet_graph_softmax(graph, name, input, &node)); break;
    case 6: count_status(martlet_graph_dropout(graph, name, input, any_number(0.25), &node)); break;
    case 7: count_status(martlet_graph_flatten(graph, name, input, &node)); break;
    case 8: count_status(martlet_graph_normalization(graph, name, input, one_in(30) ? NULL : &relative, &node)); break;
    default: count_status(martlet_graph_input_normalization(graph, name, input, any_number(0), &node)); break;
  }
  if (node >= 0) last_node[slot] = node > MAX_NODES ? 0 : node;
}

/* Folds a model, compared on data or not, and reads the certificate. */
static void call_fold(martlet_model **made) {
  lying_array a;
  martlet_folding *folding = NULL;
  martlet_folding_layer layer;
  martlet_folding_difference difference;
  char text[200];
  size_t length;
  const int has_data = below(2);
  layer.struct_size = one_in(20) ? (size_t)below(64) : sizeof layer;
  count_status(martlet_model_fold(made, one_in(20) ? NULL : &folding, any_model(),
                                  has_data ? any_array(&a, buffer, 2, below(5), 4) : NULL, any_int(has_data)));
  count_status(martlet_folding_layer_at(folding, any_int(below(4)), one_in(20) ? NULL : &layer));
  count_status(martlet_folding_output_at(folding, any_int(0), one_in(20) ? NULL : &difference));
  count_status(martlet_folding_text(folding, text, one_in(2) ? 0 : sizeof text, one_in(20) ? NULL : &length));
  martlet_folding_destroy(folding);
}

/* Checks a model, on data or not, with options that may lie, and reads the findings. */
static void call_check(void) {
  lying_array a, b;
  martlet_findings *findings = NULL;
  martlet_finding finding;
  const martlet_check_options defaults = MARTLET_CHECK_OPTIONS_INIT;
  /* A size that is too large is checked for zeros as far as it says. */
  struct {
    martlet_check_options options;
    char beyond[64];
  } sized;
  char text[200];
  size_t length;
  martlet_array two_a[2], two_b[2];
  const int has_data = below(2);
  memset(&sized, 0, sizeof sized);
  sized.options = defaults;
  finding.struct_size = one_in(20) ? (size_t)below(64) : sizeof finding;
  sized.options.batch_size = any_int(below(4));
  sized.options.loss = any_int(below(3));
  if (one_in(2)) {
    sized.options.targets = twice(two_b, any_array(&b, buffer + 200, 2, below(5), 3));
    sized.options.target_count = any_int(1);
  }
  if (one_in(20)) sized.options.struct_size = (size_t)below(64);
  count_status(martlet_model_check(one_in(20) ? NULL : &findings, any_model(),
                                   has_data ? twice(two_a, any_array(&a, buffer, 2, below(5), 4)) : NULL, any_int(has_data),
                                   one_in(3) ? NULL : &sized.options));
  count_status(martlet_findings_at(findings, any_int(below(4)), one_in(20) ? NULL : &finding));
  count_status(martlet_findings_text(findings, text, one_in(2) ? 0 : sizeof text, one_in(20) ? NULL : &length));
  martlet_findings_destroy(findings);
}

/* Records a model's layers, in the right order of calls or not. */
static void call_shift(void) {
  lying_array a, b;
  martlet_shift_recorder *recorder = NULL;
  martlet_shift_record record;
  const martlet_shift_options defaults = MARTLET_SHIFT_OPTIONS_INIT;
  struct {
    martlet_shift_options options;
    char beyond[64];
  } sized;
  const double numbers[2] = {any_number(15), any_number(85)};
  const char *const names[2] = {any_name("dense_1"), any_name("batch_norm_1")};
  char text[200];
  size_t length;
  memset(&sized, 0, sizeof sized);
  sized.options = defaults;
  record.struct_size = one_in(20) ? (size_t)below(64) : sizeof record;
  sized.options.loss = any_int(below(3));
  sized.options.channel = one_in(2) ? -1 : any_size(below(4));
  if (one_in(2)) {
    sized.options.percentiles = numbers;
    sized.options.percentile_count = below(3);
  }
  if (one_in(20)) sized.options.struct_size = (size_t)below(64);
  count_status(martlet_shift_recorder_create(one_in(20) ? NULL : &recorder, any_model(), names, one_in(20) ? -1 : below(3),
                                             one_in(3) ? NULL : &sized.options));
  for (int i = below(4); i > 0; i--) {
    const martlet_array *x = any_array(&a, buffer, 2, below(5), 4), *y = any_array(&b, buffer + 200, 2, below(5), 3);
    switch (below(4)) {
      case 0: count_status(martlet_shift_recorder_record(recorder, any_size(1), x, any_int(1))); break;
      case 1: count_status(martlet_shift_recorder_after_update(recorder, x, any_int(1), y, any_int(1))); break;
      default: {
        const int has_probe = below(2);
        count_status(martlet_shift_recorder_before_update(recorder, any_size(1), x, any_int(1), y, any_int(1),
                                                          has_probe ? x : NULL, any_int(has_probe)));
        if (one_in(2)) count_status(martlet_shift_recorder_after_update(recorder, x, 1, y, 1));
      }
    }
    count_status(martlet_shift_recorder_at(recorder, any_size(below(4)), one_in(20) ? NULL : &record));
  }
  count_status(martlet_shift_recorder_csv(recorder, text, one_in(2) ? 0 : sizeof text, one_in(20) ? NULL : &length));
  martlet_shift_recorder_destroy(recorder);
}

static void call_make_model(void) {
  const int slot = below(SLOTS), from = below(SLOTS);
  const martlet_node input = any_int(0), output = any_int(last_node[from]);
  const char *const names[2] = {any_name("dense_1"), any_name("batch_norm_1")};
  martlet_model *made = NULL;
  switch (below(6)) {
    case 0:
    case 1:
      count_status(martlet_model_create(&made, graphs[from], &input, 1, &output, one_in(20) ? 0 : 1, next_random()));
      break;
    case 2: count_status(martlet_model_create_submodel(&made, any_model(), names, 1 + below(2))); break;
    case 3: count_status(martlet_model_clone(&made, any_model())); break;
    case 4: call_fold(&made); break;
    default: count_status(martlet_model_load(&made, any_name(saved_path))); break;
  }
  if (made != NULL) replace_model(slot, made);
}

static void call_describe(void) {
  const martlet_model *model = any_model();
  martlet_view view;
  martlet_layer_info layer;
  martlet_tensor_info tensor;
  char text[200];
  size_t length;
  const int32_t index = any_int(below(4));
  layer.struct_size = one_in(20) ? (size_t)below(64) : sizeof layer;
  tensor.struct_size = one_in(20) ? (size_t)below(64) : sizeof tensor;
  switch (below(10)) {
    case 0: count_status(martlet_model_input_shape(model, index, &view)); break;
    case 1: count_status(martlet_model_output_shape(model, index, &view)); break;
    case 2: count_status(martlet_model_layer_at(model, index, one_in(20) ? NULL : &layer)); break;
    case 3:
      if (one_in(2)) {
        count_status(martlet_model_tensor_at(model, index, one_in(20) ? NULL : &tensor));
      } else {
        count_status(martlet_model_tensor_spec_at(model, index, one_in(20) ? NULL : &tensor));
      }
      break;
    case 4: count_status(martlet_model_tensor_named(model, any_name("dense_1.weight"), &tensor)); break;
    case 5: count_status(martlet_model_architecture(model, text, sizeof text, &length)); break;
    case 7: call_check(); break;
    case 8: call_shift(); break;
    case 6: count_status(martlet_model_plan(model, any_size(8), any_int(1), text, sizeof text, &length)); break;
    default: count_status(martlet_model_save(model, one_in(3) ? "/nowhere/x" : one_in(20) ? NULL : saved_path)); break;
  }
}

static void call_change(void) {
  lying_array a;
  martlet_model *model = any_model();
  /* A size that is too large is checked for zeros as far as it says. */
  struct {
    martlet_batch_norm_switches switches;
    char beyond[64];
  } sized;
  memset(&sized, 0, sizeof sized);
  martlet_batch_norm_switches *const switches = &sized.switches;
  switches->struct_size = one_in(20) ? (size_t)below(64) : sizeof *switches;
  switches->normalize_with = any_int(below(2));
  switches->updates_moving = any_int(below(2));
  switches->trains_scale_shift = any_int(below(2));
  const char *const name = any_name("dense_1.weight");
  switch (below(6)) {
    case 0: {
      const martlet_array *value = any_array(&a, buffer, 2, 3, 4);
      count_status(martlet_model_set_tensors(model, &name, value, 1, any_int(0)));
      break;
    }
    case 1: count_status(martlet_model_set_trainable(model, name, any_int(below(2)))); break;
    case 2: count_status(martlet_model_batch_norm_switches(model, any_name("batch_norm_1"), switches)); break;
    case 3: count_status(martlet_model_set_batch_norm_switches(model, any_name("batch_norm_1"), switches)); break;
    case 4:
      count_status(martlet_model_update_population_statistics(model, any_array(&a, buffer, 2, 6, 4), 1, any_size(below(4))));
      break;
    default: count_status(martlet_model_fit_input_normalization(model, any_array(&a, buffer, 2, 6, 4), 1, any_size(below(4))));
  }
}

/* One shard alone: the sums are there already. It may fail, or call what it must not. */
static int32_t any_reduce(double *sums, int64_t count, void *payload) {
  martlet_model *model = any_model();
  lying_array x;
  martlet_array two_x[2];
  (void)payload;
  if (count < 1 || sums[count - 1] != sums[count - 1]) return one_in(2);
  if (one_in(4)) {
    count_status(martlet_model_forward(model, twice(two_x, any_array(&x, buffer, 2, below(7), 4)), 1, any_int(1)));
  }
  if (one_in(8)) count_status(martlet_model_set_all_reduce(model, NULL, NULL));
  return one_in(5);
}

static void call_run(void) {
  lying_array x, y;
  martlet_array two_x[2], two_y[2];
  martlet_model *model = any_model();
  martlet_view view;
  const int64_t rows = below(7), columns = output_columns(model);
  const martlet_array *inputs = twice(two_x, any_array(&x, buffer, 2, rows, 4));
  const martlet_array *outputs = twice(two_y, any_array(&y, results, 2, rows, columns));
  switch (below(7)) {
    case 0: count_status(martlet_model_predict(model, inputs, any_count(), any_size(below(4)), outputs, any_count())); break;
    case 1:
    case 2: {
      const uint64_t before = fingerprint(model);
      const martlet_status status = martlet_model_forward(model, inputs, any_count(), any_int(1));
      count_status(status);
      if (status != MARTLET_OK) check_unchanged("a failed forward", model, before);
      break;
    }
    case 3: count_status(martlet_model_output(model, any_int(0), &view)); break;
    case 4: count_status(martlet_model_backward(model, outputs, any_count(), any_int(below(2)))); break;
    case 5: count_status(martlet_model_set_all_reduce(model, one_in(2) ? NULL : any_reduce, NULL)); break;
    default: count_status(martlet_model_input_gradient(model, any_int(0), &view));
  }
}

static void call_destroy(void) {
  const int slot = below(SLOTS);
#define DESTROY(noun, slots)                 \
  do {                                       \
    martlet_##noun##_destroy((slots)[slot]); \
    (slots)[slot] = NULL;                    \
  } while (0)
  switch (below(6)) {
    case 0: DESTROY(tensor, tensors); break;
    case 1: DESTROY(statistics, statistics); break;
    case 2: DESTROY(graph, graphs); break;
    case 3: replace_model(slot, NULL); break;
    case 4: DESTROY(optimizer, optimizers); break;
    default:
      DESTROY(trainer, trainers);
      trained[slot] = NULL;
      break;
  }
}

int main(int argc, char **argv) {
  static void (*const groups[])(void) = {
      call_machine,     call_tensor,      call_tensor,        call_matmul,     call_batch_norm,
      call_normalize,   call_convolution, call_statistics,    call_graph,      call_graph,
      call_graph,       call_make_model,  call_describe,      call_change,     call_population,
      call_transaction, call_run,         call_run,           call_run,        call_train,
      call_train,       call_train,       call_micro_batches, call_all_reduce, call_shift_recorder,
      call_image_fit,   call_load_weights};
  char *unit = NULL;
  long calls = argc > 1 ? strtol(argv[1], &unit, 10) : 20000;
  const time_t end = unit != NULL && *unit == 's' ? time(NULL) + calls : 0;
  if (end != 0) calls = LONG_MAX;
  const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL) ^ (uint64_t)getpid() << 20;
  printf("call_sequences %s %llu\n", argc > 1 ? argv[1] : "20000", (unsigned long long)seed);
  fflush(stdout);
  random_state = seed;
  snprintf(saved_path, sizeof saved_path, "/tmp/martlet-fuzz-%d", (int)getpid());
  fill(buffer, BUFFER, 1);
  long call = 0;
  for (; call < calls && (end == 0 || call % 256 != 0 || time(NULL) < end); call++) {
    if (one_in(60)) {
      call_destroy();
    } else {
      groups[below(CHECK_COUNT(groups))]();
    }
  }
  for (int slot = 0; slot < SLOTS; slot++) {
    martlet_tensor_destroy(tensors[slot]);
    martlet_statistics_destroy(statistics[slot]);
    martlet_graph_destroy(graphs[slot]);
    martlet_model_destroy(models[slot]);
    martlet_optimizer_destroy(optimizers[slot]);
    martlet_trainer_destroy(trainers[slot]);
  }
  unlink(saved_path);
  for (int status = 0; status <= MARTLET_NOT_FINITE; status++) {
    if (calls_by_status[status] > 0) printf("  %-26s %ld\n", martlet_status_name(status), calls_by_status[status]);
  }
  printf("1 passed, 0 failed (%ld calls)\n", call);
  return 0;
}
