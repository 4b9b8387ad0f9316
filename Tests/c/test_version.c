/* Version, status, machine. */
#include "check.h"

static void test_versions(void) {
  CHECK_INT(MARTLET_ABI_VERSION, martlet_abi_version());
  CHECK_TEXT(MARTLET_VERSION, martlet_version());
  CHECK(martlet_version() == martlet_version()); /* one string for the process, not one a call */
}

static void test_status_names(void) {
  static const char *const names[] = {
      "MARTLET_OK",          "MARTLET_INVALID_ARGUMENT", "MARTLET_SHAPE_MISMATCH", "MARTLET_INVALID_STATE",
      "MARTLET_UNSUPPORTED", "MARTLET_IO_ERROR",         "MARTLET_CORRUPT_FILE",   "MARTLET_OUT_OF_MEMORY",
      "MARTLET_CANCELLED",   "MARTLET_INTERNAL_ERROR",   "MARTLET_NOT_FINITE"};
  for (int i = 0; i < CHECK_COUNT(names); i++) CHECK_TEXT(names[i], martlet_status_name(i));
  const int32_t unknown[] = {-1, 11, 1000, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(unknown); i++) CHECK_TEXT("MARTLET_UNKNOWN_STATUS", martlet_status_name(unknown[i]));
}

static void test_message_before_any_failure(void) {
  CHECK(martlet_last_error_message() != NULL);
  CHECK_TEXT("", martlet_last_error_message()); /* this test runs first */
}

static void test_message_stays_after_success(void) {
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_create(NULL));
  char before[256];
  snprintf(before, sizeof before, "%.255s", martlet_last_error_message());
  martlet_graph *graph = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  martlet_graph_destroy(graph);
  CHECK(strncmp(before, martlet_last_error_message(), 255) == 0);
}

static void test_isa(void) {
  const char *name;
  POISON(name);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out_name", martlet_isa(NULL));
  CHECK_OK(martlet_isa(&name));
  const char *forced = getenv("MARTLET_ISA");
  if (forced != NULL && forced[0] != '\0') CHECK_TEXT(forced, name);

  const int32_t count = martlet_available_isa_count();
  CHECK(count >= 1);
  int is_available = 0;
  for (int32_t i = 0; i < count; i++) {
    CHECK(martlet_available_isa(i) != NULL);
    is_available |= strcmp(martlet_available_isa(i), name) == 0;
  }
  CHECK(is_available);
  CHECK_TEXT("baseline", martlet_available_isa(count - 1)); /* best first, and the baseline runs everywhere */
  if (forced == NULL) CHECK_TEXT(martlet_available_isa(0), name);
  const int32_t outside[] = {-1, count, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(outside); i++) CHECK(martlet_available_isa(outside[i]) == NULL);
}

static void test_threads(void) {
  const int32_t start = martlet_num_threads();
  CHECK(start >= 1 && start <= 1024);
  const int32_t outside[] = {0, -1, 1025, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(outside); i++) {
    const martlet_status status = martlet_set_num_threads(outside[i]);
    CHECK_INT(MARTLET_INVALID_ARGUMENT, status);
    CHECK(strlen(martlet_last_error_message()) > 0);
    CHECK_INT(start, martlet_num_threads());
  }
  const int32_t inside[] = {1, 2, 5, 3, 1};
  for (int i = 0; i < CHECK_COUNT(inside); i++) {
    CHECK_OK(martlet_set_num_threads(inside[i]));
    CHECK_INT(inside[i], martlet_num_threads());
  }
  CHECK_OK(martlet_set_num_threads(start));
}

static const check_test tests[] = {TEST(test_message_before_any_failure),  TEST(test_versions), TEST(test_status_names),
                                   TEST(test_message_stays_after_success), TEST(test_isa),      TEST(test_threads)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
