/* Files that were model files once: each is read, planned, run, looked over, folded and written again, and its tensors are read into
 * a model that exists. Nothing may crash or hang, every failure has a message, a failed load leaves the model as it was, and no file takes
 * more than 5 s or 64 MB plus 8 times its size.
 *
 *   files [files | seconds"s" [seed [first]]]       default: 3000 files, a seed from the clock, which is printed
 *
 * File n of a seed is always the same: `files 1 SEED n` tries it again. The file of a crash stays where the last line says. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "model_text.h"

enum { MOST_TENSORS = 64, MOST_DATA = 1 << 20, SEEDS = 8, ROWS = 3, MOST_NUMBERS = 1 << 20 };

typedef struct tensor {
  char name[300], dtype[8];
  int64_t shape[20];
  int rank, bytes;
  int data; /* where its bytes begin in the model's data */
} tensor;

typedef struct model_file {
  char text[MOST_TEXT];
  tensor tensors[MOST_TENSORS];
  int count, data_bytes;
  unsigned char data[MOST_DATA];
} model_file;

static model_file seeds[SEEDS], changed;
static char contents[MOST_TEXT * 3 + MOST_DATA], header[MOST_TEXT * 3], path[128], saved_path[160];
static float numbers[MOST_NUMBERS], outputs[MOST_NUMBERS];
static martlet_model *own; /* what weights are loaded into */

/* Shared with the parent. */
typedef struct figures {
  int64_t files, loaded, planned, predicted, folded, weights, slow, large;
  uint64_t number;
} figures;
static figures *told;

static void stop(const char *what) {
  fprintf(stderr, "%s: %s\n", what, martlet_last_error_message());
  abort();
}

static void count_status(martlet_status status) {
  if (status < 0 || status > 8) stop(martlet_status_name(status));
  if (status != MARTLET_OK && martlet_last_error_message()[0] == '\0') stop("a failure without a message");
}

/* ---- what the files are made from ---- */

static martlet_model *make_seed(int number) {
  static const int64_t image[3] = {6, 5, 3}, row[1] = {4}, sequence[2] = {6, 2};
  static const int64_t hidden[2] = {6, 5};
  const martlet_normalization_options group = MARTLET_GROUP_NORM_INIT(2), frn = MARTLET_FILTER_RESPONSE_NORM_INIT;
  martlet_known_model_options known = MARTLET_KNOWN_MODEL_OPTIONS_INIT;
  martlet_convolution_options conv = MARTLET_CONVOLUTION_OPTIONS_INIT;
  martlet_batch_norm_options norm = MARTLET_BATCH_NORM_OPTIONS_INIT;
  martlet_pooling_options pool = MARTLET_POOLING_OPTIONS_INIT;
  martlet_graph *graph = NULL;
  martlet_model *model = NULL;
  martlet_node in = -1, node = -1, pair[2];
  known.hidden = hidden;
  known.hidden_count = 2;
  conv.padding = MARTLET_PADDING_SAME;
  if (number == 0) return make_model(1);
  if (number == 1) {
    if (martlet_model_build(&model, "mlp", 1, row, 3, &known, 1) != MARTLET_OK) stop("mlp");
    return model;
  }
  if (martlet_graph_create(&graph) != MARTLET_OK) stop("graph");
  if (number == 7) {
    (void)martlet_graph_input(graph, "s", 2, sequence, &in);
    (void)martlet_graph_conv1d(graph, NULL, in, 4, 3, NULL, &node);
    (void)martlet_graph_batch_norm(graph, NULL, node, NULL, &node);
    (void)martlet_graph_max_pool1d(graph, NULL, node, 2, NULL, &node);
    (void)martlet_graph_global_avg_pool1d(graph, NULL, node, &node);
  } else {
    (void)martlet_graph_input(graph, "picture", 3, image, &in);
    (void)martlet_graph_conv2d(graph, "c", in, 4, 3, 3, &conv, &node);
    norm.renormalization.enabled = number == 3;
    norm.virtual_batch_size = number == 4 ? 2 : 0;
    (void)martlet_graph_batch_norm(graph, "n", node, &norm, &node);
    (void)martlet_graph_activation(graph, NULL, node, MARTLET_RELU, &node);
    pair[0] = node;
    if (number >= 3) {
      (void)martlet_graph_conv2d(graph, "d", node, 4, 1, 1, &conv, &pair[1]);
      (void)martlet_graph_add(graph, "sum", pair, 2, &node);
    }
    if (number >= 4) (void)martlet_graph_max_pool2d(graph, NULL, node, 2, 2, &pool, &node);
    if (number >= 5) (void)martlet_graph_normalization(graph, NULL, node, number == 5 ? &group : &frn, &node);
    (void)martlet_graph_flatten(graph, NULL, node, &node);
  }
  (void)martlet_graph_dropout(graph, NULL, node, 0.5, &node);
  (void)martlet_graph_dense(graph, "last", node, 3, NULL, &node);
  (void)martlet_graph_softmax(graph, NULL, node, &node);
  if (martlet_model_create(&model, graph, &in, 1, &node, 1, 1) != MARTLET_OK) stop("seed");
  martlet_graph_destroy(graph);
  return model;
}

static void describe(model_file *file, const martlet_model *model) {
  size_t length = 0;
  if (martlet_model_architecture(model, file->text, sizeof file->text, &length) != MARTLET_OK) stop("architecture");
  const int32_t count = martlet_model_tensor_count(model);
  for (int32_t i = 0; i < count && file->count < MOST_TENSORS; i++) {
    martlet_tensor_info info;
    info.struct_size = sizeof info;
    if (martlet_model_tensor_at(model, i, &info) != MARTLET_OK) stop("tensor");
    if (strstr(info.name, "num_batches_skipped") != NULL) continue;
    tensor *t = &file->tensors[file->count++];
    snprintf(t->name, sizeof t->name, "%s", info.name);
    snprintf(t->dtype, sizeof t->dtype, "%s",
             info.value.dtype == MARTLET_FLOAT32   ? "F32"
             : info.value.dtype == MARTLET_FLOAT64 ? "F64"
                                                   : "I64");
    t->rank = info.value.rank;
    memcpy(t->shape, info.value.shape, sizeof(int64_t) * (size_t)t->rank);
    t->bytes = (int)view_bytes(&info.value);
    t->data = file->data_bytes;
    memcpy(file->data + t->data, info.value.data, (size_t)t->bytes);
    file->data_bytes += t->bytes;
  }
}

/* ---- changes ---- */

static void change_tensor(model_file *file) {
  static const char *const dtypes[] = {"F32", "F64", "F16", "BF16", "I64", "I32", "U8", "BOOL", "F8_E4M3", "U64", "X", ""};
  static const int64_t extents[] = {0, 1, 2, 3, -1, 1 << 20, (int64_t)1 << 31, (int64_t)1 << 62, INT64_MAX, INT64_MIN};
  if (file->count == 0) return;
  tensor *t = &file->tensors[below(file->count)], *other = &file->tensors[below(file->count)];
  switch (below(9)) {
    case 0: snprintf(t->dtype, sizeof t->dtype, "%s", dtypes[below(CHECK_COUNT(dtypes))]); break;
    case 1: t->rank = below(20); break;
    case 2:
      if (t->rank > 0) t->shape[below(t->rank)] = extents[below(CHECK_COUNT(extents))];
      break;
    case 3: memmove(t->name, other->name, sizeof t->name); break;
    case 4:
      memmove(t->name, other->name, sizeof t->name);
      t->name[0] = (char)('0' + below(80));
      break;
    case 5: *t = file->tensors[--file->count]; break;
    case 6: /* a row less, in shape and bytes alike */
      if (t->rank > 0 && t->shape[0] > 1 && t->shape[0] < 1000) {
        t->bytes -= (int)(t->bytes / t->shape[0]);
        t->shape[0]--;
      }
      break;
    case 7: t->bytes = t->bytes > 0 ? below(t->bytes + 1) : 0; break;
    default: {
      static const unsigned char patterns[] = {0x00, 0xff, 0x7f, 0x80, 0x3f};
      for (int i = 1 + below(16); i > 0 && t->bytes > 0; i--) {
        const int at = t->data + below(t->bytes) / 4 * 4;
        memset(file->data + at, patterns[below(CHECK_COUNT(patterns))], 4);
      }
    }
  }
}

/* Writes JSON text as a JSON string. */
static int write_string(char *out, const char *text) {
  int length = 0;
  out[length++] = '"';
  for (; *text != '\0'; text++) {
    if (*text == '"' || *text == '\\') out[length++] = '\\';
    out[length++] = *text;
  }
  out[length++] = '"';
  return length;
}

/* The file as bytes; its header lies about offsets only if `lies`. Returns its length. */
static int write_contents(model_file *file, int lies) {
  static const int64_t odd[] = {-1, 1, 4, 1 << 20, INT64_MAX, INT64_MIN};
  int length = sprintf(header, "{\"__metadata__\":{\"martlet\":");
  int64_t offset = 0;
  length += write_string(header + length, file->text);
  header[length++] = '}';
  for (int i = 0; i < file->count; i++) {
    const tensor *t = &file->tensors[i];
    header[length++] = ',';
    length += write_string(header + length, t->name);
    length += sprintf(header + length, ":{\"dtype\":\"%s\",\"shape\":[", t->dtype);
    for (int axis = 0; axis < t->rank; axis++)
      length += sprintf(header + length, axis ? ",%lld" : "%lld", (long long)t->shape[axis]);
    const int64_t lie = lies && one_in(4) ? odd[below(CHECK_COUNT(odd))] : 0;
    length += sprintf(header + length, "],\"data_offsets\":[%lld,%lld]}",
                      (long long)((uint64_t)offset + (lies && one_in(9) ? (uint64_t)lie : 0)),
                      (long long)((int64_t)((uint64_t)offset + (uint64_t)t->bytes + (uint64_t)lie)));
    offset += t->bytes;
  }
  header[length++] = '}';
  header[length] = '\0';
  if (lies && one_in(2)) {
    if (length < MOST_TEXT) change_text(header);
    length = (int)strlen(header);
  }
  const uint64_t told_length = (uint64_t)length;
  memcpy(contents, &told_length, 8);
  memcpy(contents + 8, header, (size_t)length);
  int end = 8 + length;
  for (int i = 0; i < file->count; i++) {
    memcpy(contents + end, file->data + file->tensors[i].data, (size_t)file->tensors[i].bytes);
    end += file->tensors[i].bytes;
  }
  if (lies) {
    for (int i = below(8); i > 0; i--) contents[below(one_in(2) && end > 8 ? 8 + length : end)] = (char)below(256);
    if (one_in(8)) end = below(end + 1);
  }
  return end;
}

static int make_file(uint64_t seed, uint64_t number) {
  random_state = seed + number * 0x9E3779B97F4A7C15u;
  (void)next_random();
  const model_file *from = &seeds[below(SEEDS)];
  memcpy(changed.text, from->text, strlen(from->text) + 1);
  memcpy(changed.tensors, from->tensors, sizeof changed.tensors);
  changed.count = from->count;
  changed.data_bytes = from->data_bytes;
  memcpy(changed.data, from->data, (size_t)from->data_bytes);
  const int lies = one_in(4);
  if (!one_in(5)) {
    for (int i = 1 + below(one_in(4) ? 12 : 3); i > 0; i--) change_text(changed.text);
  }
  if (one_in(2)) {
    for (int i = 1 + below(3); i > 0; i--) change_tensor(&changed);
  }
  return write_contents(&changed, lies);
}

/* ---- what is done with them ---- */

static int64_t row_length(const martlet_view *view) {
  int64_t count = 1;
  for (int32_t axis = 0; axis < view->rank; axis++) {
    if (view->shape[axis] > MOST_NUMBERS) return -1;
    count *= view->shape[axis];
    if (count > MOST_NUMBERS) return -1;
  }
  return count;
}

/* Inputs and outputs of a model of few and small ones; 0 if it is not one. */
static int make_arrays(const martlet_model *model, martlet_array *inputs, int64_t (*in_shapes)[MARTLET_MAX_RANK],
                       martlet_array *results, int64_t (*out_shapes)[MARTLET_MAX_RANK], int64_t rows) {
  const int32_t in = martlet_model_input_count(model), out = martlet_model_output_count(model);
  int64_t written = 0;
  if (in > 4 || out > 4) return 0;
  for (int32_t i = 0; i < in + out; i++) {
    martlet_view view;
    count_status(i < in ? martlet_model_input_shape(model, i, &view) : martlet_model_output_shape(model, i - in, &view));
    const int64_t length = row_length(&view);
    if (length < 0 || view.rank >= MARTLET_MAX_RANK) return 0;
    int64_t *shape = i < in ? in_shapes[i] : out_shapes[i - in];
    shape[0] = rows;
    memcpy(shape + 1, view.shape, sizeof(int64_t) * (size_t)view.rank);
    if (i < in) {
      if (rows * length > MOST_NUMBERS) return 0;
      inputs[i] = floats_of(numbers, view.rank + 1, shape);
    } else {
      if (written + rows * length > MOST_NUMBERS) return 0;
      results[i - in] = floats_of(outputs + written, view.rank + 1, shape);
      written += rows * length;
    }
  }
  return 1;
}

static void use(martlet_model *model) {
  static char text[1 << 16];
  static int64_t in_shapes[4][MARTLET_MAX_RANK], out_shapes[4][MARTLET_MAX_RANK];
  martlet_array inputs[4], results[4];
  martlet_findings *findings = NULL;
  martlet_folding *folding = NULL;
  martlet_model *folded = NULL, *copy = NULL;
  martlet_layer_info layer;
  size_t length;
  const int64_t rows = 1 + below(ROWS);
  layer.struct_size = sizeof layer;
  for (int32_t i = -1; i <= martlet_model_layer_count(model); i++) count_status(martlet_model_layer_at(model, i, &layer));
  const martlet_status planned = martlet_model_plan(model, rows, below(2), text, sizeof text, &length);
  count_status(planned);
  told->planned += planned == MARTLET_OK;
  count_status(martlet_model_check(&findings, model, NULL, 0, NULL));
  martlet_findings_destroy(findings);
  findings = NULL;
  const int in = martlet_model_input_count(model),
            has_arrays = make_arrays(model, inputs, in_shapes, results, out_shapes, rows);
  if (has_arrays) {
    const martlet_status status =
        martlet_model_predict(model, inputs, in, below(3), results, martlet_model_output_count(model));
    count_status(status);
    told->predicted += status == MARTLET_OK;
    count_status(martlet_model_forward(model, inputs, in, 1));
    count_status(martlet_model_check(&findings, model, inputs, in, NULL));
    martlet_findings_destroy(findings);
  }
  const martlet_status status = martlet_model_fold(&folded, &folding, model, has_arrays ? inputs : NULL, has_arrays ? in : 0);
  count_status(status);
  told->folded += status == MARTLET_OK;
  if (folded != NULL && has_arrays) {
    count_status(martlet_model_predict(folded, inputs, in, 0, results, martlet_model_output_count(folded)));
  }
  martlet_folding_destroy(folding);
  martlet_model_destroy(folded);
  if (one_in(8)) {
    count_status(martlet_model_save(model, saved_path));
    if (martlet_model_load(&copy, saved_path) != MARTLET_OK) stop("what was read and written cannot be read again");
    martlet_model_destroy(copy);
  }
}

static double seconds_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int64_t peak_bytes(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (int64_t)usage.ru_maxrss * 1024;
}

static void try_file(uint64_t seed, uint64_t number) {
  const int length = make_file(seed, number);
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(contents, 1, (size_t)length, file) != (size_t)length || fclose(file) != 0) {
    fprintf(stderr, "cannot write %s\n", path);
    _exit(2);
  }
  told->number = number;
  const double began = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  const int64_t before = peak_bytes();
  martlet_model *model = NULL;
  const martlet_status status = martlet_model_load(&model, path);
  count_status(status);
  if ((status == MARTLET_OK) != (model != NULL)) stop("a status and an output that do not fit");
  told->loaded += model != NULL;
  if (model != NULL) use(model);
  martlet_model_destroy(model);
  const uint64_t values = model_fingerprint(own);
  const martlet_status weights = martlet_model_load_weights(NULL, own, path, below(2), below(3));
  count_status(weights);
  told->weights += weights == MARTLET_OK;
  if (weights != MARTLET_OK && model_fingerprint(own) != values) stop("a failed load_weights changed the model");
  const double seconds = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - began;
  const int64_t bytes = peak_bytes() - before;
  if (seconds > 5) {
    told->slow++;
    fprintf(stderr, "file %llu of seed %llu took %.1f s\n", (unsigned long long)number, (unsigned long long)seed, seconds);
  }
  if (bytes > ((int64_t)64 << 20) + 8 * (int64_t)length) {
    told->large++;
    fprintf(stderr, "file %llu of seed %llu took %lld MB for %d bytes\n", (unsigned long long)number, (unsigned long long)seed,
            (long long)(bytes >> 20), length);
  }
  told->files++;
}

static void prepare(void) {
  for (int i = 0; i < SEEDS; i++) {
    martlet_model *model = make_seed(i);
    describe(&seeds[i], model);
    martlet_model_destroy(model);
  }
  own = make_model(1);
  fill(numbers, MOST_NUMBERS, 7);
}

int main(int argc, char **argv) {
  char *end = NULL;
  const char *limit = argc > 1 ? argv[1] : "3000";
  const long most = strtol(limit, &end, 10);
  const int is_seconds = end != NULL && *end == 's';
  const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
  const uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
  const double began = seconds_of(CLOCK_MONOTONIC);
  static figures own_figures;
  told = &own_figures;
  const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  snprintf(path, sizeof path, "%s/martlet-fuzz-%d.safetensors", folder, (int)getpid());
  snprintf(saved_path, sizeof saved_path, "%s/martlet-fuzz-%d-saved.safetensors", folder, (int)getpid());
  fprintf(stderr, "seed %llu, file in work: %s\n", (unsigned long long)seed, path);
  (void)martlet_set_num_threads(1);
  prepare();
  for (uint64_t number = first;; number++) {
    if (is_seconds ? seconds_of(CLOCK_MONOTONIC) - began > (double)most : (long)(number - first) >= most) break;
    try_file(seed, number);
    if (number % 1000 == 0) { /* what a crash leaves on the screen */
      fprintf(stderr, "\r%lld files", (long long)told->files);
    }
  }
  unlink(path);
  unlink(saved_path);
  const double seconds = seconds_of(CLOCK_MONOTONIC) - began;
  fprintf(stderr, "\r");
  printf("%lld files (%.0f a second): %lld loaded, %lld planned, %lld predicted, %lld folded, %lld gave weights\n",
         (long long)told->files, (double)told->files / (seconds > 0 ? seconds : 1), (long long)told->loaded,
         (long long)told->planned, (long long)told->predicted, (long long)told->folded, (long long)told->weights);
  const int64_t bad = told->slow + told->large;
  printf("%lld passed, %lld failed\n", (long long)(told->files - bad > 0 ? 1 : 0), (long long)bad);
  return bad != 0;
}
