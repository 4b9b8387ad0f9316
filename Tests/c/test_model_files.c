/* Files: saved, loaded, and every way in which a file can lie. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "models.h"

static char folder[] = "/tmp/martlet-test-XXXXXX";

static const char *path_of(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

/* *out is the caller's; returns its size, or 0. */
static size_t read_file(const char *path, unsigned char **out) {
  *out = NULL;
  FILE *file = fopen(path, "rb");
  if (file == NULL) return 0;
  unsigned char *bytes = (unsigned char *)malloc(1 << 20);
  const size_t size = bytes == NULL ? 0 : fread(bytes, 1, 1 << 20, file);
  fclose(file);
  *out = bytes;
  return size;
}

static void write_file(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  CHECK(file != NULL);
  if (file == NULL) return;
  CHECK_INT(size, fwrite(bytes, 1, size, file));
  CHECK_INT(0, fclose(file));
}

static void test_round_trip(void) {
  martlet_model *model = make_model(7), *loaded = NULL;
  net_batch batch, other;
  make_batch(&batch, 2);
  make_batch(&other, 2);
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1)); /* statistics that are not the defaults */
  CHECK_OK(martlet_model_set_trainable(model, "dense1.weight", 0));
  martlet_batch_norm_switches switches;
  memset(&switches, 0, sizeof switches);
  switches.struct_size = sizeof switches;
  switches.normalize_with = MARTLET_NORMALIZE_WITH_MOVING;
  CHECK_OK(martlet_model_set_batch_norm_switches(model, "norm1", &switches));
  CHECK_OK(martlet_model_save(model, path_of("model.safetensors")));
  CHECK_OK(martlet_model_load(&loaded, path_of("model.safetensors")));
  CHECK(model_fingerprint(model) == model_fingerprint(loaded));
  CHECK_INT(0, tensor_named(loaded, "dense1.weight").trainable);
  memset(&switches, 0xff, sizeof switches);
  switches.struct_size = sizeof switches;
  CHECK_OK(martlet_model_batch_norm_switches(loaded, "norm1", &switches));
  CHECK_INT(MARTLET_NORMALIZE_WITH_MOVING, switches.normalize_with); /* frozen stays frozen */
  CHECK_OK(martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  CHECK_OK(martlet_model_predict(loaded, &other.x_array, 1, 0, &other.out_array, 1));
  CHECK(memcmp(batch.out, other.out, sizeof batch.out) == 0);
  martlet_model_destroy(model);
  martlet_model_destroy(loaded);
}

static void test_arguments(void) {
  martlet_model *model = make_model(7), *out;
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_save(NULL, path_of("a")));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "path", martlet_model_save(model, NULL));
  CHECK_FAILS(STATUS(IO_ERROR) | STATUS(INVALID_ARGUMENT), NULL, martlet_model_save(model, ""));
  CHECK_FAILS(STATUS(IO_ERROR), "nowhere", martlet_model_save(model, path_of("nowhere/model")));
  CHECK_FAILS(STATUS(IO_ERROR), NULL, martlet_model_save(model, folder)); /* a directory */
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_load(NULL, path_of("model.safetensors")));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "path", martlet_model_load(&out, NULL));
  CHECK_FAILS(STATUS(IO_ERROR) | STATUS(INVALID_ARGUMENT), NULL, martlet_model_load(&out, ""));
  CHECK_FAILS(STATUS(IO_ERROR), "missing", martlet_model_load(&out, path_of("missing")));
  CHECK_FAILS(STATUS(IO_ERROR) | STATUS(CORRUPT_FILE), NULL, martlet_model_load(&out, folder));
  CHECK_FAILS(STATUS(IO_ERROR) | STATUS(CORRUPT_FILE), NULL, martlet_model_load(&out, "/dev/null"));
  martlet_model_destroy(model);
}

static void test_weights(void) {
  martlet_model *model = make_model(7), *other = make_model(8);
  CHECK_OK(martlet_model_save(model, path_of("weights.safetensors")));
  CHECK(model_fingerprint(model) != model_fingerprint(other));
  CHECK_OK(martlet_model_load_weights(NULL, other, path_of("weights.safetensors"), 1, MARTLET_FLATTEN_UNKNOWN));
  CHECK(model_fingerprint(model) == model_fingerprint(other));

  martlet_graph *graph = NULL;
  martlet_node input, hidden;
  martlet_model *narrow = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, net_input_shape, &input));
  CHECK_OK(martlet_graph_dense(graph, "dense1", input, NET_HIDDEN + 1, NULL, &hidden));
  CHECK_OK(martlet_model_create(&narrow, graph, &input, 1, &hidden, 1, 1));
  const uint64_t before = model_fingerprint(narrow);
  const char *weights = path_of("weights.safetensors");
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "norm1", martlet_model_load_weights(NULL, narrow, weights, 1, MARTLET_FLATTEN_UNKNOWN));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "layer \"dense1\"",
              martlet_model_load_weights(NULL, narrow, weights, 0, MARTLET_FLATTEN_UNKNOWN));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "strict",
              martlet_model_load_weights(NULL, narrow, weights, 2, MARTLET_FLATTEN_UNKNOWN));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "path", martlet_model_load_weights(NULL, narrow, NULL, 1, MARTLET_FLATTEN_UNKNOWN));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_load_weights(NULL, NULL, weights, 1, MARTLET_FLATTEN_UNKNOWN));
  CHECK_FAILS(STATUS(IO_ERROR), "missing",
              martlet_model_load_weights(NULL, narrow, path_of("missing"), 1, MARTLET_FLATTEN_UNKNOWN));
  CHECK(model_fingerprint(narrow) == before);
  martlet_model_destroy(narrow);
  martlet_graph_destroy(graph);
  martlet_model_destroy(other);
  martlet_model_destroy(model);
}

/* The names of a part of a report, joined by blanks. */
static const char *names_of(const martlet_load_report *report, int32_t part) {
  static char text[1024];
  text[0] = 0;
  for (int32_t i = 0; i < martlet_load_report_count(report, part); i++) {
    const char *name = martlet_load_report_name(report, part, i);
    CHECK(name != NULL);
    if (name != NULL) snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i == 0 ? "" : " ", name);
  }
  return text;
}

static martlet_model *one_layer(const char *name, int32_t units) {
  martlet_graph *graph = NULL;
  martlet_node input, output;
  martlet_model *model = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, net_input_shape, &input));
  CHECK_OK(martlet_graph_dense(graph, name, input, units, NULL, &output));
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 1));
  martlet_graph_destroy(graph);
  return model;
}

static void test_load_report(void) {
  martlet_model *model = make_model(7), *same = one_layer("dense1", NET_HIDDEN), *other = one_layer("elsewhere", NET_HIDDEN);
  martlet_load_report *report = NULL;
  CHECK_OK(martlet_model_save(model, path_of("weights.safetensors")));
  CHECK_OK(martlet_model_load_weights(&report, same, path_of("weights.safetensors"), 0, MARTLET_FLATTEN_UNKNOWN));
  CHECK_TEXT("dense1.weight dense1.bias", names_of(report, MARTLET_LOAD_MATCHED));
  CHECK_TEXT("", names_of(report, MARTLET_LOAD_MISSING));
  CHECK(martlet_load_report_count(report, MARTLET_LOAD_UNEXPECTED) > 2);
  CHECK(strstr(names_of(report, MARTLET_LOAD_UNEXPECTED), "norm1.weight") != NULL);
  CHECK_INT(0, martlet_load_report_count(report, 3));
  CHECK_INT(0, martlet_load_report_count(report, -1));
  CHECK_INT(0, martlet_load_report_count(NULL, 0));
  CHECK(martlet_load_report_name(report, MARTLET_LOAD_MATCHED, 2) == NULL);
  CHECK(martlet_load_report_name(report, MARTLET_LOAD_MATCHED, -1) == NULL);
  CHECK(martlet_load_report_name(report, 9, 0) == NULL);
  CHECK(martlet_load_report_name(NULL, 0, 0) == NULL);
  martlet_load_report_destroy(report);
  martlet_load_report_destroy(NULL);

  /* A file of which nothing fits is an error, strict or not. */
  const uint64_t before = model_fingerprint(other);
  POISON(report);
  for (int32_t strict = 0; strict < 2; strict++)
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "elsewhere.weight",
                martlet_model_load_weights(&report, other, path_of("weights.safetensors"), strict, MARTLET_FLATTEN_UNKNOWN));
  CHECK(model_fingerprint(other) == before);
  martlet_model_destroy(other);
  martlet_model_destroy(same);
  martlet_model_destroy(model);
}

/* A part of a network is a model in a file as well. */
static void test_submodel(void) {
  martlet_model *model = make_model(7), *part = NULL, *loaded = NULL, *copy = NULL;
  const char *names[] = {"norm1"};
  CHECK_OK(martlet_model_create_submodel(&part, model, names, 1));
  CHECK(martlet_model_tensor_count(part) < martlet_model_tensor_count(model));
  CHECK(martlet_model_layer_count(part) < martlet_model_layer_count(model));
  CHECK_OK(martlet_model_save(part, path_of("part.safetensors")));
  CHECK_OK(martlet_model_load(&loaded, path_of("part.safetensors")));
  CHECK_OK(martlet_model_clone(&copy, part));
  CHECK(model_fingerprint(part) == model_fingerprint(loaded));
  CHECK(model_fingerprint(part) == model_fingerprint(copy));
  CHECK_INT(martlet_model_tensor_count(part), martlet_model_tensor_count(loaded));
  CHECK_INT(0, unlink(path_of("part.safetensors")));
  martlet_model_destroy(copy);
  martlet_model_destroy(loaded);
  martlet_model_destroy(part);
  martlet_model_destroy(model);
}

static void test_other_formats(void) {
  static const struct {
    const char *word;
    unsigned char bytes[16];
  } files[] = {{"zip", {'P', 'K', 3, 4, 20, 0, 8, 8}},
               {"HDF5", {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'}},
               {"pickle", {0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46}},
               {"JSON", {'{', '"', 'm', 'e', 't', 'a', '"', ':'}},
               {"gzip", {0x1f, 0x8b, 8, 0, 1, 2, 3, 4}},
               {"GGUF", {'G', 'G', 'U', 'F', 3, 0, 0, 0, 1}},
               {"NumPy", {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0}}};
  martlet_model *model = make_model(7), *out;
  POISON(out);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    unsigned char bytes[200];
    memset(bytes, ' ', sizeof bytes);
    memcpy(bytes, files[i].bytes, sizeof files[i].bytes);
    write_file(path_of("weights"), bytes, sizeof bytes);
    CHECK_FAILS(STATUS(UNSUPPORTED), files[i].word, martlet_model_load(&out, path_of("weights")));
    CHECK_FAILS(STATUS(UNSUPPORTED), files[i].word,
                martlet_model_load_weights(NULL, model, path_of("weights"), 0, MARTLET_FLATTEN_UNKNOWN));
  }
  CHECK_INT(0, unlink(path_of("weights")));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "safetensors", martlet_model_save(model, path_of("model.h5")));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "safetensors", martlet_model_save(model, path_of("model.PT")));
  martlet_model_destroy(model);
}

/* A save that cannot be completed (here: the disk is "full" after 100 bytes) leaves the old file, and nothing beside it. */
static void test_failed_save_keeps_the_old_file(void) {
  martlet_model *model = make_model(7), *other = make_model(8), *loaded = NULL;
  CHECK_OK(martlet_model_save(model, path_of("kept.safetensors")));
  struct rlimit limit, small;
  CHECK_INT(0, getrlimit(RLIMIT_FSIZE, &limit));
  small = limit;
  small.rlim_cur = 100;
  CHECK_INT(0, setrlimit(RLIMIT_FSIZE, &small));
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  const martlet_status status = martlet_model_save(other, path_of("kept.safetensors"));
  CHECK_INT(0, setrlimit(RLIMIT_FSIZE, &limit));
  (void)signal(SIGXFSZ, handler);
  CHECK_INT(MARTLET_IO_ERROR, status);
  CHECK_OK(martlet_model_load(&loaded, path_of("kept.safetensors")));
  CHECK(model_fingerprint(model) == model_fingerprint(loaded));
  martlet_model_destroy(loaded);
  martlet_model_destroy(other);
  martlet_model_destroy(model);
}

/* A node that reads a later one, or itself, written over the file's own text. */
static void test_cycles(void) {
  martlet_model *model = make_model(7), *out;
  CHECK_OK(martlet_model_save(model, path_of("whole.safetensors")));
  unsigned char *bytes = NULL;
  const size_t size = read_file(path_of("whole.safetensors"), &bytes);
  size_t changed = 0;
  const char from[] = "\\\"from\\\":[0]";
  for (size_t place = 0; place + sizeof from <= size && changed == 0; place++) {
    if (memcmp(bytes + place, from, sizeof from - 1) != 0) continue;
    bytes[place + sizeof from - 3] = '1';
    changed = place;
  }
  CHECK(changed != 0);
  write_file(path_of("bad.safetensors"), bytes, size);
  POISON(out);
  CHECK_FAILS(STATUS(CORRUPT_FILE), "not before it", martlet_model_load(&out, path_of("bad.safetensors")));
  free(bytes);
  martlet_model_destroy(model);
}

static void refuse(const unsigned char *bytes, size_t size) {
  martlet_model *out;
  write_file(path_of("bad.safetensors"), bytes, size);
  POISON(out);
  /* A dtype that nobody knows may be a lie or from the future. */
  CHECK_FAILS(STATUS(CORRUPT_FILE) | STATUS(UNSUPPORTED), NULL, martlet_model_load(&out, path_of("bad.safetensors")));
  UNWATCH_ALL();
}

static void test_truncated(void) {
  unsigned char *bytes = NULL;
  martlet_model *model = make_model(7);
  CHECK_OK(martlet_model_save(model, path_of("whole.safetensors")));
  const size_t size = read_file(path_of("whole.safetensors"), &bytes);
  CHECK(size > 100);
  /* Every length near the ends and the header's border, and a sample between. */
  for (size_t length = 0; length < size; length += length < 64 || length + 64 > size ? 1 : 37) refuse(bytes, length);
  unsigned char *longer = (unsigned char *)realloc(bytes, size + 1);
  if (longer == NULL) exit(2);
  longer[size] = 0;
  refuse(longer, size + 1); /* a byte that belongs to nothing */
  free(longer);
  martlet_model_destroy(model);
}

static void put_length(unsigned char *bytes, uint64_t length) {
  for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> (8 * i));
}

static void test_lying_headers(void) {
  unsigned char *bytes = NULL;
  martlet_model *model = make_model(7);
  CHECK_OK(martlet_model_save(model, path_of("whole.safetensors")));
  const size_t size = read_file(path_of("whole.safetensors"), &bytes);
  CHECK(size > 100);
  if (size <= 100) return;
  unsigned char *copy = (unsigned char *)malloc(size);
  if (copy == NULL) exit(2);
  const uint64_t lengths[] = {
      0, 1, 2, (uint64_t)size - 8, (uint64_t)size, (uint64_t)1 << 32, UINT64_MAX, INT64_MAX, (uint64_t)1 << 63};
  for (int i = 0; i < CHECK_COUNT(lengths); i++) {
    memcpy(copy, bytes, size);
    put_length(copy, lengths[i]);
    refuse(copy, size);
  }
  static const char *const headers[] = {
      "{}",
      "[]",
      "null",
      "{\"__metadata__\":{}}",
      "{\"__metadata__\":{\"martlet\":\"{}\"}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,9223372036854775807],\"data_offsets\":[0,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1e30],\"data_offsets\":[0,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,18446744073709551615]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}",
      "{\"a\":{\"dtype\":\"Q7\",\"shape\":[2],\"data_offsets\":[0,8]}}",
      "{\"a\":",
      "{\"a\" 1}",
      "{\"a\":\"\\ud800\"}",
      "\"\\u12\"",
      "{\"\\u0000\":{}}",
  };
  for (int i = 0; i < CHECK_COUNT(headers); i++) {
    unsigned char small[300];
    const size_t length = strlen(headers[i]);
    memset(small, 0, sizeof small);
    put_length(small, length);
    memcpy(small + 8, headers[i], length);
    refuse(small, 8 + length + 8);
  }
  /* A hundred thousand open brackets: the reader must not recurse the stack away. */
  const size_t deep = 100000;
  unsigned char *nested = (unsigned char *)malloc(deep + 8);
  if (nested == NULL) exit(2);
  put_length(nested, deep);
  memset(nested + 8, '[', deep);
  refuse(nested, deep + 8);
  for (size_t i = 0; i + 5 <= deep; i += 5) memcpy(nested + 8 + i, "{\"a\":", 5);
  refuse(nested, deep + 8);
  free(nested);
  free(copy);
  free(bytes);
  martlet_model_destroy(model);
}

/* Single bytes changed all over the header: loaded or refused, never worse. What loads is a whole model. */
static void test_changed_bytes(void) {
  unsigned char *bytes = NULL;
  martlet_model *model = make_model(7);
  CHECK_OK(martlet_model_save(model, path_of("whole.safetensors")));
  const size_t size = read_file(path_of("whole.safetensors"), &bytes);
  size_t header = 8;
  for (int i = 0; i < 3 && size > 8; i++) header += (size_t)bytes[i] << (8 * i);
  static const unsigned char replacements[] = {0, '"', '9', '-', '}', 0xff};
  for (size_t position = 8; position < header && position < size; position += 3) {
    const unsigned char old = bytes[position];
    bytes[position] = replacements[position % sizeof replacements];
    write_file(path_of("bad.safetensors"), bytes, size);
    martlet_model *loaded = NULL;
    const martlet_status status = martlet_model_load(&loaded, path_of("bad.safetensors"));
    CHECK(status == MARTLET_OK || status == MARTLET_CORRUPT_FILE || status == MARTLET_UNSUPPORTED);
    CHECK((loaded != NULL) == (status == MARTLET_OK));
    if (loaded != NULL) CHECK(model_fingerprint(loaded) != 0);
    martlet_model_destroy(loaded);
    bytes[position] = old;
  }
  free(bytes);
  martlet_model_destroy(model);
}

static const check_test tests[] = {
    TEST(test_load_report), TEST(test_submodel),      TEST(test_other_formats), TEST(test_round_trip),
    TEST(test_arguments),   TEST(test_weights),       TEST(test_cycles),        TEST(test_failed_save_keeps_the_old_file),
    TEST(test_truncated),   TEST(test_lying_headers), TEST(test_changed_bytes)};

int main(int argc, char **argv) {
  if (mkdtemp(folder) == NULL) {
    perror("mkdtemp");
    return 2;
  }
  const int result = check_main(argc, argv, tests, CHECK_COUNT(tests));
  static const char *const names[] = {"model.safetensors", "whole.safetensors", "bad.safetensors", "kept.safetensors",
                                      "weights.safetensors"};
  for (int i = 0; i < CHECK_COUNT(names); i++) unlink(path_of(names[i]));
  if (rmdir(folder) != 0) {
    fprintf(stderr, "%s: %s: a save left something behind\n", folder, strerror(errno));
    return 1;
  }
  return result;
}
