/* Prints the binary interface as this header gives it: sizes and offsets of structs, values of constants. Compared with
 * abi.expected: a difference that breaks compiled programs must come with a new MARTLET_ABI_VERSION. (64-bit platforms.) */
#include <stdio.h>

#include "martlet.h"

#define SIZE(type)         printf("sizeof %s %zu\n", #type, sizeof(type))
#define FIELD(type, field) printf("  %s.%s %zu\n", #type, #field, offsetof(type, field))
#define VALUE(name)        printf("%s %lld\n", #name, (long long)(name))

static void print_options(void) {
  SIZE(martlet_initializer);
  FIELD(martlet_initializer, kind);
  FIELD(martlet_initializer, value);
  SIZE(martlet_dense_options);
  FIELD(martlet_dense_options, bias);
  FIELD(martlet_dense_options, weight_initializer);
  FIELD(martlet_dense_options, bias_initializer);
  SIZE(martlet_convolution_options);
  FIELD(martlet_convolution_options, strides);
  FIELD(martlet_convolution_options, dilation);
  FIELD(martlet_convolution_options, pads);
  FIELD(martlet_convolution_options, groups);
  FIELD(martlet_convolution_options, padding);
  FIELD(martlet_convolution_options, bias);
  FIELD(martlet_convolution_options, weight_initializer);
  FIELD(martlet_convolution_options, bias_initializer);
  FIELD(martlet_convolution_options, algorithm);
  FIELD(martlet_convolution_options, reserved);
  SIZE(martlet_pooling_options);
  FIELD(martlet_pooling_options, strides);
  FIELD(martlet_pooling_options, pads);
  FIELD(martlet_pooling_options, padding);
  FIELD(martlet_pooling_options, count_includes_pad);
  SIZE(martlet_batch_norm_options);
  FIELD(martlet_batch_norm_options, epsilon);
  FIELD(martlet_batch_norm_options, momentum);
  FIELD(martlet_batch_norm_options, cumulative);
  FIELD(martlet_batch_norm_options, scale);
  FIELD(martlet_batch_norm_options, shift);
  FIELD(martlet_batch_norm_options, biased_moving_variance);
  FIELD(martlet_batch_norm_options, count_nonfinite_batches);
  FIELD(martlet_batch_norm_options, normalize_with);
  FIELD(martlet_batch_norm_options, updates_moving);
  FIELD(martlet_batch_norm_options, trains_scale_shift);
  SIZE(martlet_known_model_options);
  FIELD(martlet_known_model_options, width);
  FIELD(martlet_known_model_options, dropout);
  FIELD(martlet_known_model_options, hidden);
  FIELD(martlet_known_model_options, hidden_count);
  FIELD(martlet_known_model_options, shortcut);
  FIELD(martlet_known_model_options, zero_last_scale);
  SIZE(martlet_batch_norm_switches);
  FIELD(martlet_batch_norm_switches, normalize_with);
  FIELD(martlet_batch_norm_switches, updates_moving);
  FIELD(martlet_batch_norm_switches, trains_scale_shift);
  SIZE(martlet_optimizer_options);
  FIELD(martlet_optimizer_options, kind);
  FIELD(martlet_optimizer_options, nesterov);
  FIELD(martlet_optimizer_options, learning_rate);
  FIELD(martlet_optimizer_options, momentum);
  FIELD(martlet_optimizer_options, beta1);
  FIELD(martlet_optimizer_options, beta2);
  FIELD(martlet_optimizer_options, epsilon);
  FIELD(martlet_optimizer_options, weight_decay);
  FIELD(martlet_optimizer_options, decays_scale_shift_bias);
  SIZE(martlet_fit_options);
  FIELD(martlet_fit_options, epochs);
  FIELD(martlet_fit_options, batch_size);
  FIELD(martlet_fit_options, shuffle);
  FIELD(martlet_fit_options, drop_last);
  FIELD(martlet_fit_options, seed);
  FIELD(martlet_fit_options, validation_inputs);
  FIELD(martlet_fit_options, validation_targets);
  FIELD(martlet_fit_options, callback);
  FIELD(martlet_fit_options, payload);
  FIELD(martlet_fit_options, augmentation);
  FIELD(martlet_fit_options, normalization);
  SIZE(martlet_augmentation_options);
  FIELD(martlet_augmentation_options, crop_padding);
  FIELD(martlet_augmentation_options, cutout);
  FIELD(martlet_augmentation_options, flip);
  SIZE(martlet_image_normalization);
  FIELD(martlet_image_normalization, count);
  FIELD(martlet_image_normalization, mean);
  FIELD(martlet_image_normalization, standard_deviation);
}

static void print_records(void) {
  SIZE(martlet_array);
  FIELD(martlet_array, data);
  FIELD(martlet_array, shape);
  FIELD(martlet_array, strides);
  FIELD(martlet_array, rank);
  FIELD(martlet_array, dtype);
  SIZE(martlet_view);
  FIELD(martlet_view, data);
  FIELD(martlet_view, shape);
  FIELD(martlet_view, strides);
  FIELD(martlet_view, rank);
  FIELD(martlet_view, dtype);
  SIZE(martlet_layer_info);
  FIELD(martlet_layer_info, name);
  FIELD(martlet_layer_info, kind);
  FIELD(martlet_layer_info, parameter_count);
  FIELD(martlet_layer_info, state_count);
  FIELD(martlet_layer_info, output_shape);
  FIELD(martlet_layer_info, output_rank);
  SIZE(martlet_tensor_info);
  FIELD(martlet_tensor_info, name);
  FIELD(martlet_tensor_info, kind);
  FIELD(martlet_tensor_info, trainable);
  FIELD(martlet_tensor_info, value);
  FIELD(martlet_tensor_info, gradient);
  SIZE(martlet_folding_difference);
  FIELD(martlet_folding_difference, absolute);
  FIELD(martlet_folding_difference, relative);
  FIELD(martlet_folding_difference, bound);
  FIELD(martlet_folding_difference, is_measured);
  FIELD(martlet_folding_difference, is_within_bound);
  SIZE(martlet_folding_layer);
  FIELD(martlet_folding_layer, name);
  FIELD(martlet_folding_layer, kind);
  FIELD(martlet_folding_layer, detail);
  FIELD(martlet_folding_layer, outcome);
  FIELD(martlet_folding_layer, difference);
  SIZE(martlet_check_options);
  FIELD(martlet_check_options, batch_size);
  FIELD(martlet_check_options, optimizer);
  FIELD(martlet_check_options, targets);
  FIELD(martlet_check_options, target_count);
  FIELD(martlet_check_options, loss);
  SIZE(martlet_finding);
  FIELD(martlet_finding, code);
  FIELD(martlet_finding, layer);
  FIELD(martlet_finding, message);
  FIELD(martlet_finding, advice);
  FIELD(martlet_finding, channels);
  FIELD(martlet_finding, channel_count);
  FIELD(martlet_finding, value);
  FIELD(martlet_finding, severity);
  SIZE(martlet_shift_options);
  FIELD(martlet_shift_options, percentiles);
  FIELD(martlet_shift_options, percentile_count);
  FIELD(martlet_shift_options, channel);
  FIELD(martlet_shift_options, loss);
  SIZE(martlet_shift_record);
  FIELD(martlet_shift_record, step);
  FIELD(martlet_shift_record, layer);
  FIELD(martlet_shift_record, mean);
  FIELD(martlet_shift_record, deviation);
  FIELD(martlet_shift_record, percentiles);
  FIELD(martlet_shift_record, percentile_count);
  FIELD(martlet_shift_record, gradient_change);
  FIELD(martlet_shift_record, gradient_cosine);
  SIZE(martlet_result);
  FIELD(martlet_result, loss);
  FIELD(martlet_result, correct);
  FIELD(martlet_result, rows);
  SIZE(martlet_training_event);
  FIELD(martlet_training_event, kind);
  FIELD(martlet_training_event, has_validation);
  FIELD(martlet_training_event, epoch);
  FIELD(martlet_training_event, epochs);
  FIELD(martlet_training_event, step);
  FIELD(martlet_training_event, steps);
  FIELD(martlet_training_event, training);
  FIELD(martlet_training_event, validation);
}

static void print_constants(void) {
  VALUE(MARTLET_ABI_VERSION);
  VALUE(MARTLET_MAX_RANK);
  VALUE(MARTLET_ALL_AXES);
  VALUE(MARTLET_INTERNAL_ERROR);
  VALUE(MARTLET_CANCELLED);
  VALUE(MARTLET_UINT8);
  VALUE(MARTLET_MINIMUM);
  VALUE(MARTLET_LOGARITHM);
  VALUE(MARTLET_RELU);
  VALUE(MARTLET_REDUCE_MINIMUM);
  VALUE(MARTLET_CONSTANT);
  VALUE(MARTLET_NORMALIZE_WITH_MOVING);
  VALUE(MARTLET_SHORTCUT_PROJECTION);
  VALUE(MARTLET_STATE);
  VALUE(MARTLET_INFERENCE_FLOAT16);
  VALUE(MARTLET_LAYER_REMOVED);
  VALUE(MARTLET_LOSS_BINARY_CROSS_ENTROPY);
  VALUE(MARTLET_ADAMW);
  VALUE(MARTLET_EVENT_EPOCH);
  VALUE(MARTLET_SEVERITY_ERROR);
}

int main(void) {
  print_options();
  print_records();
  print_constants();
  return 0;
}
