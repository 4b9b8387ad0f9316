/* A host that opens the library with dlopen, computes on several threads and closes it with dlclose goes on living: whatever threads it
 * has, whether it forks, and if it opens the library again. Each case runs in a child process, on a copy of the library, for this
 * program itself is linked to the library and would keep it loaded. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr */
#endif
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arrays.h"

enum { SIZE = 192, THREADS = 4 };

static char copy_path[] = "/tmp/martlet-unloading-XXXXXX";

/* The library, opened. */
typedef struct loaded {
  void *library;
  martlet_status (*set_threads)(int32_t);
  martlet_status (*matmul)(const martlet_array *, const martlet_array *, const martlet_array *);
  martlet_status (*fail)(martlet_tensor **, const martlet_array *);
  const char *(*message)(void);
} loaded;

/* dlsym's result as a function pointer, which ISO C has no cast for. */
static void find(void *library, const char *name, void *function) {
  void *symbol = dlsym(library, name);
  if (!symbol) _exit(40);
  memcpy(function, &symbol, sizeof symbol);
}

static loaded open_library(void) {
  loaded l;
  l.library = dlopen(copy_path, RTLD_NOW | RTLD_LOCAL);
  if (!l.library) {
    fprintf(stderr, "    %s\n", dlerror());
    _exit(41);
  }
  find(l.library, "martlet_set_num_threads", &l.set_threads);
  find(l.library, "martlet_matmul", &l.matmul);
  find(l.library, "martlet_tensor_create", &l.fail);
  find(l.library, "martlet_last_error_message", &l.message);
  return l;
}

/* A product that is shared out over the threads. */
static void compute(const loaded *l) {
  const int64_t shape[2] = {SIZE, SIZE};
  float *values = (float *)malloc(3 * sizeof(float) * SIZE * SIZE);
  for (int i = 0; i < 2 * SIZE * SIZE; i++) values[i] = i < SIZE * SIZE ? 1 : 2;
  const martlet_array a = floats_of(values, 2, shape), b = floats_of(values + SIZE * SIZE, 2, shape);
  const martlet_array c = floats_of(values + 2 * SIZE * SIZE, 2, shape);
  for (int round = 0; round < 5; round++) {
    values[3 * SIZE * SIZE - 1] = 0;
    if (l->matmul(&a, &b, &c) != MARTLET_OK || values[3 * SIZE * SIZE - 1] != 2 * SIZE) _exit(42);
  }
  /* A message, in memory of the thread's own. */
  if (l->fail(NULL, NULL) == MARTLET_OK || l->message()[0] == '\0') _exit(43);
  free(values);
}

static void close_library(const loaded *l) {
  if (dlclose(l->library) != 0) _exit(44);
  /* It is gone, and its threads with it. */
  if (dlopen(copy_path, RTLD_NOW | RTLD_NOLOAD)) _exit(45);
}

static int thread_count(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/task");
  if (!folder) return 1;
  for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

/* The kernel lists a joined thread for a moment longer. */
static void expect_threads(int expected) {
  for (int i = 0; i < 200 && thread_count() != expected; i++) usleep(1000);
  if (thread_count() != expected) _exit(46);
}

/* ---- cases ---- */

static void open_and_close_many_times(void) {
  const useconds_t pauses[] = {0, 50, 500, 5000};
  const int before = thread_count();
  for (int round = 0; round < 24; round++) {
    const loaded l = open_library();
    if (l.set_threads(1 + round % 5) != MARTLET_OK) _exit(47);
    compute(&l);
    usleep(pauses[round % 4]);
    close_library(&l);
    expect_threads(before);
  }
}

static void close_without_computing(void) {
  for (int round = 0; round < 5; round++) {
    const loaded l = open_library();
    if (round % 2 && l.set_threads(3) != MARTLET_OK) _exit(47);
    close_library(&l);
  }
}

/* Threads of the host that used the library, outlive it, and use it when it is there again. */
typedef struct host_thread {
  pthread_t thread;
  pthread_barrier_t *barrier;
  const loaded *l;
} host_thread;

static void *live_through(void *argument) {
  host_thread *host = (host_thread *)argument;
  for (int round = 0; round < 3; round++) {
    pthread_barrier_wait(host->barrier); /* open */
    compute(host->l);
    pthread_barrier_wait(host->barrier); /* done */
  }
  return NULL;
}

static void threads_of_the_host_live_through_it(void) {
  pthread_barrier_t barrier;
  host_thread hosts[THREADS];
  loaded l;
  pthread_barrier_init(&barrier, NULL, THREADS + 1);
  for (int i = 0; i < THREADS; i++) {
    hosts[i].barrier = &barrier;
    hosts[i].l = &l;
    if (pthread_create(&hosts[i].thread, NULL, live_through, &hosts[i]) != 0) _exit(48);
  }
  for (int round = 0; round < 3; round++) {
    l = open_library();
    if (l.set_threads(3) != MARTLET_OK) _exit(47);
    pthread_barrier_wait(&barrier);
    compute(&l);
    pthread_barrier_wait(&barrier);
    close_library(&l);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(hosts[i].thread, NULL);
}

static void *open_compute_close(void *argument) {
  (void)argument;
  for (int round = 0; round < 10; round++) {
    const loaded l = open_library();
    if (l.set_threads(2 + round % 2) != MARTLET_OK) _exit(47);
    compute(&l);
    if (dlclose(l.library) != 0) _exit(44);
  }
  return NULL;
}

static void opened_and_closed_by_many_threads(void) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) {
    if (pthread_create(&threads[i], NULL, open_compute_close, NULL) != 0) _exit(48);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void wait_for(pid_t child) {
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) _exit(49);
}

/* Forks before and after each of the moments, with a child that computes or does not. */
static void forks_in_every_order(void) {
  for (int round = 0; round < 8; round++) {
    const loaded l = open_library();
    if (l.set_threads(3) != MARTLET_OK) _exit(47);
    if (round & 1) compute(&l);
    pid_t child = fork();
    if (child == 0) {
      alarm(30);
      if (round & 2) compute(&l);
      close_library(&l);
      /* And again, in a child whose fork handlers were of the library that is gone. */
      const pid_t grandchild = fork();
      if (grandchild == 0) {
        const loaded again = open_library();
        compute(&again);
        if (round & 4) close_library(&again);
        exit(0);
      }
      wait_for(grandchild);
      exit(0);
    }
    wait_for(child);
    compute(&l);
    close_library(&l);
    child = fork();
    if (child == 0) _exit(0);
    wait_for(child);
  }
}

static void *compute_for_ever(void *argument) {
  for (;;) compute((const loaded *)argument);
  return NULL;
}

/* exit() while other threads are in the middle of calls. */
static void exit_while_threads_compute(void) {
  for (int round = 0; round < 10; round++) {
    const pid_t child = fork();
    if (child == 0) {
      static loaded l;
      pthread_t thread;
      alarm(30);
      l = open_library();
      if (l.set_threads(2 + round % 3) != MARTLET_OK) _exit(47);
      for (int i = 0; i < 2; i++) {
        if (pthread_create(&thread, NULL, compute_for_ever, &l) != 0) _exit(48);
      }
      usleep((useconds_t)(1000 * round));
      exit(0);
    }
    wait_for(child);
  }
}

/* ---- running them ---- */

static void in_a_child(void (*body)(void)) {
  fflush(NULL);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(120); /* a child that hangs is ended by this, which the parent reports */
    body();
    _exit(0); /* no look for leaks: what the closed library kept has nobody who points at it */
  }
  int status = 0;
  CHECK_INT(child, waitpid(child, &status, 0));
  CHECK_INT(0, status);
}

static int make_copy(void) {
  Dl_info info;
  const char *(*version)(void) = martlet_version;
  void *address = NULL;
  memcpy(&address, &version, sizeof address);
  if (dladdr(address, &info) == 0 || info.dli_fname == NULL) return 0;
  FILE *source = fopen(info.dli_fname, "rb");
  const int target = mkstemp(copy_path);
  if (!source || target < 0) return 0;
  static char block[1 << 16];
  int good = 1;
  for (size_t count = fread(block, 1, sizeof block, source); count > 0; count = fread(block, 1, sizeof block, source)) {
    if (write(target, block, count) != (ssize_t)count) good = 0;
  }
  fclose(source);
  close(target);
  return good;
}

static void test_many_times(void) {
  in_a_child(open_and_close_many_times);
}
static void test_without_computing(void) {
  in_a_child(close_without_computing);
}
static void test_threads_of_the_host(void) {
  in_a_child(threads_of_the_host_live_through_it);
}
static void test_many_threads(void) {
  in_a_child(opened_and_closed_by_many_threads);
}
static void test_forks(void) {
  in_a_child(forks_in_every_order);
}
static void test_exit(void) {
  in_a_child(exit_while_threads_compute);
}

static const check_test tests[] = {TEST(test_many_times),
                                   TEST(test_without_computing),
                                   TEST(test_threads_of_the_host),
                                   TEST(test_many_threads),
                                   TEST(test_forks),
                                   TEST(test_exit)};

int main(int argc, char **argv) {
  if (!make_copy()) {
    printf("0 passed, 1 failed (no copy of the library could be made)\n");
    return 1;
  }
  const int code = check_main(argc, argv, tests, CHECK_COUNT(tests));
  unlink(copy_path);
  return code;
}
