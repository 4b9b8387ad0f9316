/* check.h: a small test harness for C99 and C++11. One program includes it once.
 *
 *   static void test_addition(void) { CHECK(1 + 1 == 2); }
 *   static const check_test tests[] = {TEST(test_addition)};
 *   int main(int argc, char **argv) { return check_main(argc, argv, tests, CHECK_COUNT(tests)); }
 *
 * A failed check prints where and what, marks its test failed and goes on. With arguments, only tests whose names contain
 * one of them run. The last line is "N passed, N failed"; the exit code is 1 if any failed.
 *
 * Watched memory: WATCH(pointer, size) takes a copy; POISON(variable) fills it first. Every CHECK_FAILS then checks that no
 * watched byte changed, so "on failure the outputs are unchanged" is tested by every failing call of the suite.
 */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "martlet.h"

#define CHECK_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define TEST(function) \
  { #function, function }

typedef struct check_test {
  const char *name;
  void (*run)(void);
} check_test;

typedef struct check_watch {
  const void *memory;
  void *copy;
  size_t size;
} check_watch;

enum { CHECK_MAX_WATCHES = 32, CHECK_MAX_REPORTS = 20 };

static struct {
  int checks, failures; /* of the test that runs */
  check_watch watches[CHECK_MAX_WATCHES];
  int watch_count;
} check_state;

/* ---- checks ---- */

/* Counts a check; returns whether a failure should be reported (a loop that fails a million times reports twenty). */
static inline int check_count(int passed) {
  check_state.checks++;
  if (passed) return 0;
  check_state.failures++;
  if (check_state.failures == CHECK_MAX_REPORTS) fprintf(stderr, "    (further failures of this test are not shown)\n");
  return check_state.failures < CHECK_MAX_REPORTS;
}

static inline void check_true(const char *file, int line, const char *text, int passed) {
  if (check_count(passed)) fprintf(stderr, "    %s:%d: false: %s\n", file, line, text);
}

static inline void check_int(const char *file, int line, const char *text, int64_t expected, int64_t got) {
  if (check_count(expected == got)) {
    fprintf(stderr, "    %s:%d: %s: expected %lld, got %lld\n", file, line, text, (long long)expected, (long long)got);
  }
}

static inline void check_text(const char *file, int line, const char *text, const char *expected, const char *got) {
  if (check_count(got != NULL && strcmp(expected, got) == 0)) {
    fprintf(stderr, "    %s:%d: %s: expected \"%s\", got \"%s\"\n", file, line, text, expected, got ? got : "(NULL)");
  }
}

/* |expected - got| <= tolerance, or both NaN, or the same infinity. */
static inline void check_close(const char *file, int line, const char *text, double expected, double got, double tolerance) {
  const int same = expected == got || (isnan(expected) && isnan(got)) || fabs(expected - got) <= tolerance;
  if (check_count(same)) {
    fprintf(stderr, "    %s:%d: %s: expected %.9g, got %.9g (difference %.3g, allowed %.3g)\n", file, line, text, expected, got,
            fabs(expected - got), tolerance);
  }
}

static inline void check_ok(const char *file, int line, const char *text, martlet_status got) {
  if (check_count(got == MARTLET_OK)) {
    fprintf(stderr, "    %s:%d: %s: %s: %s\n", file, line, text, martlet_status_name(got), martlet_last_error_message());
  }
}

#define CHECK(condition)                      check_true(__FILE__, __LINE__, #condition, (condition) ? 1 : 0)
#define CHECK_INT(expected, got)              check_int(__FILE__, __LINE__, #got, (int64_t)(expected), (int64_t)(got))
#define CHECK_TEXT(expected, got)             check_text(__FILE__, __LINE__, #got, (expected), (got))
#define CHECK_CLOSE(expected, got, tolerance) check_close(__FILE__, __LINE__, #got, (expected), (got), (tolerance))
#define CHECK_OK(call)                        check_ok(__FILE__, __LINE__, #call, (call))

/* ---- watched memory ---- */

static inline void check_watch_memory(const void *memory, size_t size) {
  check_watch *watch = NULL;
  for (int i = 0; i < check_state.watch_count; i++) {
    if (check_state.watches[i].memory == memory) watch = &check_state.watches[i];
  }
  if (watch == NULL) {
    if (check_state.watch_count == CHECK_MAX_WATCHES) {
      fprintf(stderr, "check.h: more than %d watches\n", (int)CHECK_MAX_WATCHES);
      exit(2);
    }
    watch = &check_state.watches[check_state.watch_count++];
  } else {
    free(watch->copy);
  }
  watch->memory = memory;
  watch->size = size;
  watch->copy = malloc(size ? size : 1);
  if (watch->copy == NULL) exit(2);
  memcpy(watch->copy, memory, size);
}

static inline void check_unwatch_all(void) {
  for (int i = 0; i < check_state.watch_count; i++) free(check_state.watches[i].copy);
  check_state.watch_count = 0;
}

static inline void check_poison(void *memory, size_t size) {
  memset(memory, 0xA5, size);
  check_watch_memory(memory, size);
}

#define WATCH(pointer, size) check_watch_memory((pointer), (size))
#define POISON(variable)     check_poison(&(variable), sizeof(variable))
#define UNWATCH_ALL()        check_unwatch_all()

/* ---- expected failures ---- */

/* Statuses as a set, for the few places where the header leaves the choice. */
#define STATUS(name) (1u << MARTLET_##name)
#define BAD_SHAPE    (STATUS(SHAPE_MISMATCH) | STATUS(INVALID_ARGUMENT))

/* A failure whose message no other failure has, so that a stale message cannot pass for a new one. */
static inline void check_provoke_message(void) {
  (void)martlet_set_num_threads(-987654);
}

static inline void check_failed(const char *file, int line, const char *text, unsigned statuses, martlet_status got,
                                const char *word) {
  const char *message = martlet_last_error_message();
  if (check_count(got > 0 && got < 32 && ((statuses >> got) & 1u))) {
    fprintf(stderr, "    %s:%d: %s: returned %s (%s), expected one of:", file, line, text, martlet_status_name(got), message);
    for (int i = 0; i < 32; i++) {
      if ((statuses >> i) & 1u) fprintf(stderr, " %s", martlet_status_name(i));
    }
    fprintf(stderr, "\n");
  }
  if (got != MARTLET_OK) {
    const int fresh = message[0] != '\0' && strstr(message, "-987654") == NULL;
    if (check_count(fresh)) fprintf(stderr, "    %s:%d: %s: no message of its own: \"%s\"\n", file, line, text, message);
    if (check_count(word == NULL || strstr(message, word) != NULL)) {
      fprintf(stderr, "    %s:%d: %s: the message does not name \"%s\": \"%s\"\n", file, line, text, word, message);
    }
  }
  for (int i = 0; i < check_state.watch_count; i++) {
    const check_watch *watch = &check_state.watches[i];
    if (check_count(memcmp(watch->memory, watch->copy, watch->size) == 0)) {
      fprintf(stderr, "    %s:%d: %s: changed watched memory %d\n", file, line, text, i);
    }
  }
}

/* The call returns one of the statuses (STATUS(INVALID_ARGUMENT) | ...), its message holds `word` (NULL: any words), and no
 * watched byte changed. */
#define CHECK_FAILS(statuses, word, call)                                       \
  do {                                                                          \
    check_provoke_message();                                                    \
    const martlet_status check_status_ = (call);                                \
    check_failed(__FILE__, __LINE__, #call, (statuses), check_status_, (word)); \
  } while (0)

/* ---- running ---- */

static inline int check_selected(int argc, char **argv, const char *name) {
  for (int i = 1; i < argc; i++) {
    if (strstr(name, argv[i]) != NULL) return 1;
  }
  return argc <= 1;
}

static inline int check_main(int argc, char **argv, const check_test *tests, int count) {
  int passed = 0, failed = 0;
  long checks = 0;
  for (int i = 0; i < count; i++) {
    if (!check_selected(argc, argv, tests[i].name)) continue;
    check_state.checks = check_state.failures = 0;
    tests[i].run();
    check_unwatch_all();
    checks += check_state.checks;
    if (check_state.failures != 0) {
      failed++;
      fprintf(stderr, "  FAILED %s (%d of %d checks)\n", tests[i].name, check_state.failures, check_state.checks);
    } else {
      passed++;
    }
  }
  printf("%d passed, %d failed (%ld checks)\n", passed, failed, checks);
  return failed != 0;
}

#endif /* CHECK_H */
