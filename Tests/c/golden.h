/* golden.h: reads the .golden files of Tests/goldens (README.md there describes the format). */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <ctype.h>

#include "arrays.h"

enum { GOLDEN_MAX_RANK = 4, GOLDEN_MAX_NAME = 96 };

typedef struct golden_record {
  char name[GOLDEN_MAX_NAME];
  int32_t rank;
  int64_t shape[GOLDEN_MAX_RANK];
  int64_t count;
  int is_integer;
  double *values;    /* exact for every dtype of the files */
  float *floats;     /* the same as float32, for martlet_array */
  int64_t *integers; /* the same, rounded down, for labels */
} golden_record;

typedef struct golden_file {
  golden_record *records;
  int count, capacity;
} golden_file;

/* A broken golden file is no test result: say so and stop. */
static inline void golden_stop(const char *path, const char *problem, const char *what) {
  fprintf(stderr, "%s: %s: %s\n", path, problem, what);
  exit(2);
}

/* The next word, or NULL at the end. Comments (# to the end of a line that starts with it) are skipped. */
static inline char *golden_word(char **position) {
  char *p = *position;
  for (;;) {
    while (*p != '\0' && isspace((unsigned char)*p)) p++;
    if (*p != '#') break;
    while (*p != '\0' && *p != '\n') p++;
  }
  if (*p == '\0') return NULL;
  char *word = p;
  while (*p != '\0' && !isspace((unsigned char)*p)) p++;
  if (*p != '\0') *p++ = '\0';
  *position = p;
  return word;
}

static inline char *golden_text(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) golden_stop(path, "cannot be opened", "set MARTLET_GOLDENS to the folder of the golden files");
  if (fseek(file, 0, SEEK_END) != 0) golden_stop(path, "cannot be read", "fseek");
  const long size = ftell(file);
  rewind(file);
  char *text = (char *)malloc((size_t)size + 1);
  if (text == NULL || fread(text, 1, (size_t)size, file) != (size_t)size) golden_stop(path, "cannot be read", "fread");
  fclose(file);
  text[size] = '\0';
  return text;
}

static inline void golden_values(golden_record *record, const char *path, char **position) {
  const size_t count = record->count > 0 ? (size_t)record->count : 1;
  record->values = (double *)calloc(count, sizeof(double));
  record->floats = (float *)calloc(count, sizeof(float));
  record->integers = (int64_t *)calloc(count, sizeof(int64_t));
  if (record->values == NULL || record->floats == NULL || record->integers == NULL)
    golden_stop(path, "no memory", record->name);
  for (int64_t i = 0; i < record->count; i++) {
    char *end = NULL;
    const char *word = golden_word(position);
    if (word == NULL) golden_stop(path, "ends within the record", record->name);
    record->values[i] = strtod(word, &end);
    if (*end != '\0') golden_stop(path, "not a number", word);
    record->floats[i] = (float)record->values[i];
    if (record->is_integer) record->integers[i] = (int64_t)record->values[i];
  }
}

static inline golden_file golden_read(const char *name) {
  const char *folder = getenv("MARTLET_GOLDENS");
  char path[1024];
  golden_file file = {NULL, 0, 0};
  snprintf(path, sizeof path, "%s/%s.golden", folder != NULL ? folder : "Tests/goldens", name);
  char *text = golden_text(path), *position = text, *word;
  while ((word = golden_word(&position)) != NULL) {
    if (file.count == file.capacity) {
      file.capacity = file.capacity == 0 ? 64 : 2 * file.capacity;
      file.records = (golden_record *)realloc(file.records, (size_t)file.capacity * sizeof(golden_record));
      if (file.records == NULL) golden_stop(path, "no memory", word);
    }
    golden_record *record = &file.records[file.count++];
    memset(record, 0, sizeof *record);
    snprintf(record->name, sizeof record->name, "%s", word);
    const char *dtype = golden_word(&position), *rank = golden_word(&position);
    if (dtype == NULL || rank == NULL) golden_stop(path, "ends within the record", record->name);
    record->is_integer = strcmp(dtype, "int64") == 0;
    record->rank = atoi(rank);
    if (record->rank < 0 || record->rank > (int32_t)GOLDEN_MAX_RANK) golden_stop(path, "rank out of range", record->name);
    record->count = 1;
    for (int32_t axis = 0; axis < record->rank; axis++) {
      const char *dimension = golden_word(&position);
      if (dimension == NULL) golden_stop(path, "ends within the record", record->name);
      record->shape[axis] = atol(dimension);
      record->count *= record->shape[axis];
    }
    golden_values(record, path, &position);
  }
  free(text);
  return file;
}

static inline void golden_free(golden_file *file) {
  for (int i = 0; i < file->count; i++) {
    free(file->records[i].values);
    free(file->records[i].floats);
    free(file->records[i].integers);
  }
  free(file->records);
  file->records = NULL;
  file->count = file->capacity = 0;
}

/* The record "<prefix><name><suffix>"; NULL if there is none. */
static inline golden_record *golden_find(const golden_file *file, const char *prefix, const char *name, const char *suffix) {
  char full[3 * GOLDEN_MAX_NAME];
  snprintf(full, sizeof full, "%s%s%s", prefix, name, suffix);
  for (int i = 0; i < file->count; i++) {
    if (strcmp(file->records[i].name, full) == 0) return &file->records[i];
  }
  return NULL;
}

/* The same, which must be there. */
static inline golden_record *golden_get(const golden_file *file, const char *prefix, const char *name, const char *suffix) {
  golden_record *record = golden_find(file, prefix, name, suffix);
  if (record == NULL) golden_stop(prefix, "no such record", name);
  return record;
}

static inline double golden_number(const golden_file *file, const char *prefix, const char *name) {
  return golden_get(file, prefix, name, "")->values[0];
}

/* Whole numbers, such as strides: as many as the record has. */
static inline void golden_numbers(const golden_file *file, const char *prefix, const char *name, int64_t *numbers) {
  const golden_record *record = golden_get(file, prefix, name, "");
  for (int64_t i = 0; i < record->count; i++) numbers[i] = (int64_t)record->values[i];
}

/* As an argument: float32, or int64 where the file says so. */
static inline martlet_array golden_array(golden_record *record) {
  if (record->is_integer) return array_of(record->integers, MARTLET_INT64, record->rank, record->shape);
  return floats_of(record->floats, record->rank, record->shape);
}

static inline double golden_largest(const golden_record *record) {
  double largest = 0;
  for (int64_t i = 0; i < record->count; i++) largest = fmax(largest, fabs(record->values[i]));
  return largest;
}

/* Every element of `got` within `tolerance` of the record. */
#define CHECK_GOLDEN(record, got, tolerance)                                                               \
  do {                                                                                                     \
    const golden_record *record_ = (record);                                                               \
    for (int64_t i_ = 0; i_ < record_->count; i_++) {                                                      \
      check_close(__FILE__, __LINE__, record_->name, record_->values[i_], (double)(got)[i_], (tolerance)); \
    }                                                                                                      \
  } while (0)

#endif /* GOLDEN_H */
