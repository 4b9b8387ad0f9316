/* Random networks of layers on images and sequences, with branches, with right and wrong sizes: nothing may crash, every failure
 * has a message, and each network that can be made trains a step, predicts, comes back from a file with the same answers, and gives
 * the same within rounding after its batch norms are folded.
 *
 *   image_graphs [networks [seed]]       default: 300 networks, a seed from the clock, which is printed
 */
#include <time.h>
#include <unistd.h>

#include "arguments.h"

enum { MAX_NODES = 24, ROWS = 3, MOST_VALUES = 20000 };

static long made_networks, refused_layers, folded_norms;
static float values[ROWS * MOST_VALUES], outputs[4][ROWS * MOST_VALUES];
static char saved_path[64];

static void stop(const char *what) {
  fprintf(stderr, "%s: %s\n", what, martlet_last_error_message());
  abort();
}

/* A size of a window, a stride, a pad: small, or one that must be refused. */
static int64_t any_extent(int64_t right) {
  static const int64_t odd[] = {0, -1, 100, INT64_MIN, INT64_MAX, (int64_t)1 << 31, (int64_t)1 << 62};
  return one_in(25) ? odd[below(CHECK_COUNT(odd))] : right;
}

static martlet_status add_layer(martlet_graph *graph, const martlet_node *nodes, int count, martlet_node *out) {
  martlet_convolution_options conv = MARTLET_CONVOLUTION_OPTIONS_INIT;
  martlet_pooling_options pool = MARTLET_POOLING_OPTIONS_INIT;
  const martlet_node x = nodes[one_in(3) ? below(count) : count - 1];
  const martlet_node pair[3] = {nodes[below(count)], x, nodes[below(count)]};
  const int64_t shape[3] = {any_extent(-1), 1 + below(3), 1 + below(4)};
  const int64_t pads[4] = {any_extent(below(3)), below(3), below(3), any_extent(below(3))};
  conv.padding = pool.padding = any_int(below(3)) % 4;
  for (int axis = 0; axis < 2; axis++) {
    conv.strides[axis] = any_extent(1 + below(3));
    conv.dilation[axis] = any_extent(1 + (one_in(3) ? below(3) : 0));
    if (one_in(2)) pool.strides[axis] = any_extent(1 + below(3));
  }
  if (conv.padding == MARTLET_PADDING_EXPLICIT) {
    for (int side = 0; side < 4; side++) conv.pads[side] = pool.pads[side] = any_extent(below(3));
  }
  conv.groups = any_extent(one_in(3) ? 1 + below(4) : 1);
  conv.bias = below(2);
  conv.algorithm = one_in(3) ? any_int(below(3)) : MARTLET_CONVOLUTION_AUTOMATIC;
  const int64_t a = any_extent(1 + below(3)), b = any_extent(1 + below(3)), filters = any_extent(1 + below(20)) % 1000;
  const martlet_normalization_options norms[5] = {MARTLET_LAYER_NORM_INIT, MARTLET_RMS_NORM_INIT, MARTLET_GROUP_NORM_INIT(1),
                                                  MARTLET_INSTANCE_NORM_INIT, MARTLET_FILTER_RESPONSE_NORM_INIT};
  martlet_normalization_options norm = norms[below(5)];
  norm.kind = any_int(norm.kind);
  norm.over = one_in(3) ? any_int(1) : norm.over;
  norm.groups = one_in(3) ? any_extent(1 + below(4)) : norm.groups;
  norm.scale = any_int(below(2));
  norm.shift = one_in(3) ? any_int(below(2)) : norm.shift;
  norm.threshold = one_in(3) ? any_int(below(2)) : norm.threshold;
  norm.learn_epsilon = one_in(3) ? any_int(below(2)) : norm.learn_epsilon;
  switch (below(23)) {
    case 0:
    case 1:
    case 2: return martlet_graph_conv2d(graph, NULL, x, filters, a, b, one_in(3) ? NULL : &conv, out);
    case 3:
      conv.strides[0] = conv.dilation[0] = 1;
      conv.pads[0] = conv.pads[1] = 0;
      return martlet_graph_conv1d(graph, NULL, x, filters, a, &conv, out);
    case 4: return martlet_graph_max_pool2d(graph, NULL, x, a, b, one_in(3) ? NULL : &pool, out);
    case 5:
      pool.count_includes_pad = below(2);
      return martlet_graph_avg_pool2d(graph, NULL, x, a, b, one_in(3) ? NULL : &pool, out);
    case 6: return martlet_graph_max_pool1d(graph, NULL, x, a, NULL, out);
    case 7: return martlet_graph_avg_pool1d(graph, NULL, x, a, NULL, out);
    case 8:
      return one_in(4) ? martlet_graph_global_avg_pool2d(graph, NULL, x, out)
                       : martlet_graph_global_avg_pool1d(graph, NULL, x, out);
    case 9: return martlet_graph_zero_pad2d(graph, NULL, x, pads, out);
    case 10: return martlet_graph_upsample2d(graph, NULL, x, a, b, out);
    case 11: return martlet_graph_reshape(graph, NULL, x, 1 + below(3), shape, out);
    case 12: return martlet_graph_channels_last(graph, NULL, x, out);
    case 13: return martlet_graph_channels_first(graph, NULL, x, out);
    case 14: return martlet_graph_add(graph, NULL, pair, 2 + below(2), out);
    case 15: return martlet_graph_concatenate(graph, NULL, pair, 2 + below(2), out);
    case 16: return martlet_graph_apply(graph, nodes[below(count)], &x, 1, out);
    case 17:
    case 18: return martlet_graph_batch_norm(graph, NULL, x, NULL, out);
    case 19:
    case 20:
    case 21: return martlet_graph_normalization(graph, NULL, x, one_in(50) ? NULL : &norm, out);
    default: return martlet_graph_activation(graph, NULL, x, 1 + below(3), out);
  }
}

/* Values of one row of a node; 0 if they are too many for the test's memory. */
static int64_t row_length(const martlet_graph *graph, martlet_node input, martlet_node node, int64_t *shape, int32_t *rank) {
  martlet_model *model = NULL;
  martlet_view view;
  int64_t count = 1;
  if (martlet_model_create(&model, graph, &input, 1, &node, 1, 1) != MARTLET_OK) stop("a node that cannot be an output");
  if (martlet_model_output_shape(model, 0, &view) != MARTLET_OK) stop("no shape");
  shape[0] = ROWS;
  for (int32_t axis = 0; axis < view.rank; axis++) {
    shape[axis + 1] = view.shape[axis];
    count = view.shape[axis] > MOST_VALUES ? 0 : count * view.shape[axis];
    if (count > MOST_VALUES) count = 0;
  }
  *rank = view.rank + 1;
  martlet_model_destroy(model);
  return count;
}

/* Folded, the network gives the same answers, but for what rounding explains: in every layer. */
static void fold(const martlet_model *model, const martlet_array *x) {
  martlet_model *folded = NULL;
  martlet_folding *folding = NULL;
  martlet_folding_layer layer;
  martlet_folding_difference output;
  layer.struct_size = sizeof layer;
  if (martlet_model_fold(&folded, &folding, model, x, 1) != MARTLET_OK) stop("no folding");
  for (int32_t i = 0; i < martlet_folding_layer_count(folding); i++) {
    if (martlet_folding_layer_at(folding, i, &layer) != MARTLET_OK) stop("no layer of a folding");
    if (!layer.difference.is_within_bound) {
      fprintf(stderr, "%s: %g, bound %g\n", layer.name, layer.difference.absolute, layer.difference.bound);
      stop("folding changes a layer");
    }
    folded_norms += layer.outcome == MARTLET_LAYER_FOLDED;
  }
  if (martlet_folding_output_at(folding, 0, &output) != MARTLET_OK) stop("no output of a folding");
  if (!output.is_measured || !output.is_within_bound) stop("folding changes the output");
  martlet_folding_destroy(folding);
  martlet_model_destroy(folded);
}

static void run(const martlet_graph *graph, martlet_node input, martlet_node node, const int64_t *image) {
  int64_t shape[MARTLET_MAX_RANK + 1];
  int32_t rank = 0;
  const int64_t length = row_length(graph, input, node, shape, &rank);
  if (length == 0) return;
  const int64_t in_shape[4] = {ROWS, image[0], image[1], image[2]};
  const martlet_array x = floats_of(values, 4, in_shape);
  const martlet_array y = floats_of(outputs[0], rank, shape), again = floats_of(outputs[1], rank, shape);
  martlet_model *model = NULL, *loaded = NULL;
  if (martlet_model_create(&model, graph, &input, 1, &node, 1, next_random()) != MARTLET_OK) stop("no model");
  /* A batch norm of one value a channel refuses to train; all else trains. */
  const martlet_status trained = martlet_model_forward(model, &x, 1, 1);
  if (trained == MARTLET_OK) {
    if (martlet_model_backward(model, &y, 1, 0) != MARTLET_OK) stop("no backward");
    martlet_view gradient;
    if (martlet_model_input_gradient(model, 0, &gradient) != MARTLET_OK) stop("no gradient");
    float sum = 0;
    const float *data = (const float *)gradient.data;
    for (int64_t i = 0; i < ROWS * image[0] * image[1] * image[2]; i++) sum += data[i];
    outputs[3][0] = sum; /* the sanitizers see what is read */
  } else if (trained != MARTLET_INVALID_ARGUMENT || martlet_last_error_message()[0] == '\0') {
    stop("no training");
  }
  if (martlet_model_predict(model, &x, 1, 0, &y, 1) != MARTLET_OK) stop("no prediction");
  if (martlet_model_predict(model, &x, 1, 2, &again, 1) != MARTLET_OK) stop("no prediction in batches of two");
  if (memcmp(outputs[0], outputs[1], (size_t)(ROWS * length) * sizeof(float)) != 0) stop("a batch changes its rows");
  if (martlet_model_save(model, saved_path) != MARTLET_OK || martlet_model_load(&loaded, saved_path) != MARTLET_OK)
    stop("no file");
  if (martlet_model_predict(loaded, &x, 1, 0, &again, 1) != MARTLET_OK) stop("no prediction of the loaded");
  if (memcmp(outputs[0], outputs[1], (size_t)(ROWS * length) * sizeof(float)) != 0) stop("a file changes answers");
  fold(model, &x);
  martlet_model_destroy(loaded);
  martlet_model_destroy(model);
  made_networks++;
}

static void make_network(void) {
  martlet_graph *graph = NULL;
  martlet_node nodes[MAX_NODES];
  int count = 1;
  const int64_t image[3] = {1 + below(9), 1 + below(9), 1 + below(6)};
  if (martlet_graph_create(&graph) != MARTLET_OK || martlet_graph_input(graph, "in", 3, image, &nodes[0]) != MARTLET_OK) {
    stop("no graph");
  }
  for (int tries = 0; tries < 30 && count < MAX_NODES; tries++) {
    int64_t shape[MARTLET_MAX_RANK + 1];
    int32_t rank = 0;
    martlet_node node = -1;
    const martlet_status status = add_layer(graph, nodes, count, &node);
    if (status == MARTLET_OK) {
      /* Too large for this test's memory: it stays without readers. */
      if (row_length(graph, nodes[0], node, shape, &rank) > 0) nodes[count++] = node;
    } else if (status == MARTLET_INTERNAL_ERROR || martlet_last_error_message()[0] == '\0') {
      stop("a refusal without a reason");
    } else {
      refused_layers++;
    }
  }
  run(graph, nodes[0], nodes[count - 1], image);
  martlet_graph_destroy(graph);
}

int main(int argc, char **argv) {
  /* As call_sequences: the script gives a number of calls; a network takes some sixty. */
  const long networks = argc > 1 ? (atol(argv[1]) + 59) / 60 : 300;
  const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL) ^ (uint64_t)getpid() << 20;
  printf("image_graphs %ld %llu\n", networks, (unsigned long long)seed);
  fflush(stdout);
  random_state = seed;
  snprintf(saved_path, sizeof saved_path, "/tmp/martlet-images-%d", (int)getpid());
  for (int i = 0; i < CHECK_COUNT(values); i++) values[i] = (float)(below(2001) - 1000) / 500;
  memcpy(outputs[0], values, sizeof outputs[0]);
  for (long network = 0; network < networks; network++) make_network();
  unlink(saved_path);
  if (folded_norms * 20 < networks) {
    fprintf(stderr, "only %ld norms of %ld networks were folded: the test tests little\n", folded_norms, networks);
    return 1;
  }
  if (made_networks * 2 < networks) {
    fprintf(stderr, "only %ld networks of %ld could be made: the test tests little\n", made_networks, networks);
    return 1;
  }
  printf("1 passed, 0 failed (%ld networks, %ld layers refused, %ld norms folded)\n", made_networks, refused_layers,
         folded_norms);
  return 0;
}
