/* data_calls.h: random calls of shards, recorders, fits of images and weights from files, for call_sequences.c. */
#ifndef DATA_CALLS_H
#define DATA_CALLS_H

#include "slots.h"

/* Sums of one shard are right; doubled ones are those of two equal shards; anything else must be refused or fail. */
static int32_t odd_all_reduce(double *sums, int64_t count, void *payload) {
  static const double odd[] = {0, -1, 0.5, 1e300, (double)NAN, (double)INFINITY};
  (void)payload;
  if (one_in(8)) return 1;
  const double factor = one_in(4) ? odd[below(CHECK_COUNT(odd))] : 1 + below(2);
  for (int64_t i = 0; i < count; i++) sums[i] = one_in(200) ? odd[below(CHECK_COUNT(odd))] : sums[i] * factor;
  return 0;
}

/* A step of a shard; what fails has changed nothing. */
static void call_all_reduce(void) {
  lying_array x;
  int64_t labels[8];
  const int slot = below(SLOTS);
  const int64_t rows = below(7), label_shape[1] = {rows};
  martlet_model *model = trained[slot];
  for (int i = 0; i < 8; i++) labels[i] = any_int(below(2));
  const martlet_array label_array = array_of(labels, MARTLET_INT64, 1, label_shape);
  const martlet_status began = martlet_model_set_all_reduce(model, one_in(20) ? NULL : odd_all_reduce, NULL);
  count_status(began);
  if (began != MARTLET_OK) return;
  const uint64_t before = fingerprint(model);
  const martlet_status status =
      martlet_trainer_step(trainers[slot], any_array(&x, buffer, 2, rows, 4), 1, one_in(30) ? NULL : &label_array, 1, NULL);
  count_status(status);
  if (status != MARTLET_OK) check_unchanged("a failed step of a shard", model, before);
  count_status(martlet_model_forward(model, any_array(&x, buffer, 2, rows, 4), 1, any_int(1)));
  count_status(martlet_model_set_all_reduce(model, NULL, NULL));
}

/* A recorder made, used in the right order or not, and read. */
static void call_shift_recorder(void) {
  static const char *const names[] = {"dense1", "norm1", "dense2", "sigmoid1"};
  lying_array x;
  int64_t labels[8];
  char text[300];
  size_t length;
  martlet_shift_recorder *recorder = NULL;
  martlet_shift_record record;
  martlet_shift_options options = MARTLET_SHIFT_OPTIONS_INIT;
  const double percentiles[3] = {any_number(0), any_number(50), any_number(100)};
  const int slot = below(SLOTS);
  const int64_t rows = below(7), label_shape[1] = {rows};
  for (int i = 0; i < 8; i++) labels[i] = any_int(below(2));
  const martlet_array label_array = array_of(labels, MARTLET_INT64, 1, label_shape);
  options.percentiles = one_in(4) ? NULL : percentiles;
  options.percentile_count = one_in(12) ? -1 : options.percentiles == NULL ? 0 : 3;
  options.channel = any_size(-1);
  options.loss = any_int(below(3));
  const char *wanted[2] = {any_name(names[below(4)]), names[below(4)]};
  count_status(martlet_shift_recorder_create(&recorder, one_in(4) ? any_model() : trained[slot], wanted, 1 + below(2),
                                             one_in(4) ? NULL : &options));
  const martlet_array *inputs = any_array(&x, buffer, 2, rows, 4);
  for (int i = below(5); i > 0; i--) {
    switch (below(4)) {
      case 0: count_status(martlet_shift_recorder_record(recorder, any_size(i), inputs, any_int(1))); break;
      case 1:
        count_status(martlet_shift_recorder_before_update(recorder, i, inputs, 1, &label_array, any_int(1), NULL, one_in(20)));
        break;
      case 2: count_status(martlet_trainer_step(trainers[slot], inputs, 1, &label_array, 1, NULL)); break;
      default: count_status(martlet_shift_recorder_after_update(recorder, inputs, 1, &label_array, any_int(1)));
    }
  }
  record.struct_size = one_in(20) ? (size_t)below(64) : sizeof record;
  count_status(martlet_shift_recorder_at(recorder, any_size(below(3)), one_in(20) ? NULL : &record));
  count_status(martlet_shift_recorder_csv(recorder, text, one_in(2) ? 0 : sizeof text, one_in(20) ? NULL : &length));
  martlet_shift_recorder_destroy(recorder);
}

/* A network on small images, fitted with augmentation and normalization that may be out of range. */
static void call_image_fit(void) {
  static const int64_t row[3] = {4, 4, 2};
  static uint8_t pixels[8 * 32];
  martlet_graph *graph = NULL;
  martlet_model *model = NULL;
  martlet_trainer *trainer = NULL;
  martlet_node in = -1, node = -1;
  martlet_result result;
  int64_t labels[8];
  const int64_t rows = below(8), shape[4] = {rows, 4, 4, one_in(20) ? 3 : 2}, label_shape[1] = {rows};
  const double mean[2] = {any_number(0.5), any_number(0)}, deviation[2] = {any_number(0.25), any_number(1)};
  martlet_fit_options fit = MARTLET_FIT_OPTIONS_INIT;
  martlet_augmentation_options augmentation = MARTLET_AUGMENTATION_OPTIONS_INIT;
  martlet_image_normalization normalization = MARTLET_IMAGE_NORMALIZATION_INIT;
  for (int i = 0; i < 8; i++) labels[i] = any_int(below(3));
  for (int i = 0; i < CHECK_COUNT(pixels); i++) pixels[i] = (uint8_t)below(256);
  count_status(martlet_graph_create(&graph));
  count_status(martlet_graph_input(graph, NULL, 3, row, &in));
  count_status(martlet_graph_conv2d(graph, NULL, in, 3, 1 + below(3), 1 + below(3), NULL, &node));
  count_status(martlet_graph_batch_norm(graph, NULL, node, NULL, &node));
  count_status(martlet_graph_flatten(graph, NULL, node, &node));
  count_status(martlet_graph_dense(graph, NULL, node, 3, NULL, &node));
  count_status(martlet_model_create(&model, graph, &in, 1, &node, 1, 1));
  martlet_graph_destroy(graph);
  count_status(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
  augmentation.crop_padding = any_size(below(4));
  augmentation.cutout = any_size(below(5));
  augmentation.flip = any_int(below(2));
  normalization.count = one_in(3) ? 1 : any_size(2);
  if (normalization.count > 2 && normalization.count <= (1 << 20)) normalization.count = 2; /* as many as there are */
  normalization.mean = one_in(20) ? NULL : mean;
  normalization.standard_deviation = one_in(20) ? NULL : deviation;
  fit.epochs = any_size(2) % 4;
  fit.batch_size = any_size(1 + below(5));
  fit.shuffle = any_int(below(2));
  fit.drop_last = any_int(below(2));
  fit.augmentation = one_in(3) ? NULL : &augmentation;
  fit.normalization = one_in(3) ? NULL : &normalization;
  const martlet_array images = array_of(pixels, one_in(20) ? MARTLET_INT32 : MARTLET_UINT8, 4, shape);
  const martlet_array label_array = array_of(labels, MARTLET_INT64, 1, label_shape);
  if (images.dtype == MARTLET_UINT8) {
    count_status(martlet_trainer_fit(trainer, &images, any_int(1), &label_array, 1, &fit, one_in(4) ? NULL : &result));
  }
  if (one_in(2)) martlet_model_destroy(model), model = NULL; /* the trainer holds on to it */
  if (images.dtype == MARTLET_UINT8)
    count_status(martlet_trainer_evaluate(trainer, &images, 1, &label_array, 1, any_size(2), &result));
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
}

/* One model's file into another model: all of it or nothing. */
static void call_load_weights(void) {
  martlet_model *from = any_model(), *to = any_model();
  const martlet_status saved = martlet_model_save(from, saved_path);
  count_status(saved);
  if (saved != MARTLET_OK) return;
  const uint64_t before = fingerprint(to);
  martlet_load_report *report = NULL;
  const martlet_status status = martlet_model_load_weights(
      one_in(2) ? NULL : &report, to, one_in(20) ? any_name(saved_path) : saved_path, any_int(below(2)), any_int(below(3)));
  count_status(status);
  (void)martlet_load_report_name(report, any_int(below(3)), any_int(martlet_load_report_count(report, any_int(below(3)))));
  martlet_load_report_destroy(report);
  if (status != MARTLET_OK) check_unchanged("a failed load_weights", to, before);
}

#endif /* DATA_CALLS_H */
