/* unload.c: a host that opens the library, computes on threads of the library's own, and closes it.
 *
 *   unload LIBRARY
 *
 * Each case runs in a process of its own: any number of threads, forks and a second load in between, idle workers and workers
 * that have just finished. The host must live. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct array {
  void *data;
  const int64_t *shape, *strides;
  int32_t rank, dtype;
} array;

enum { SIDE = 300 };
static float a[SIDE * SIDE], b[SIDE * SIDE];
static const char *path;

typedef struct entries {
  void *library;
  int32_t (*set_threads)(int32_t);
  int32_t (*matmul)(const array *, const array *, const array *);
  const char *(*message)(void);
} entries;

static int open_library(entries *e) {
  e->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (e->library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 0;
  }
  *(void **)&e->set_threads = dlsym(e->library, "martlet_set_num_threads");
  *(void **)&e->matmul = dlsym(e->library, "martlet_matmul");
  *(void **)&e->message = dlsym(e->library, "martlet_last_error_message");
  return e->set_threads != NULL && e->matmul != NULL && e->message != NULL;
}

static int multiply(const entries *e) {
  static const int64_t shape[2] = {SIDE, SIDE};
  float *c = (float *)malloc(sizeof a);
  const array x = {a, shape, NULL, 2, 0}, y = {b, shape, NULL, 2, 0}, z = {c, shape, NULL, 2, 0};
  const int is_right = e->matmul(&x, &y, &z) == 0 && c[7] == 2 * SIDE && c[SIDE * SIDE - 1] == 2 * SIDE;
  free(c);
  return is_right;
}

static void *multiply_on_thread(void *e) {
  const entries *entry = (const entries *)e;
  (void)entry->set_threads(-1); /* a message of this thread's */
  return multiply(entry) && entry->message()[0] != 0 ? e : NULL;
}

typedef struct attack {
  const char *name;
  int threads, rounds, pause, forks, reloads, callers;
} attack;

static int host(const attack *t) {
  for (int round = 0; round < t->rounds; round++) {
    entries e, second;
    pthread_t callers[4];
    if (!open_library(&e) || e.set_threads(t->threads) != 0 || !multiply(&e)) return 3;
    for (int i = 0; i < t->callers; i++) pthread_create(&callers[i], NULL, multiply_on_thread, &e);
    for (int i = 0; i < t->callers; i++) {
      void *result = NULL;
      pthread_join(callers[i], &result);
      if (result == NULL) return 4;
    }
    if (t->reloads && (!open_library(&second) || !multiply(&second) || dlclose(second.library) != 0)) return 5;
    if (t->forks) {
      const pid_t child = fork();
      if (child == 0) {
        if (!multiply(&e) || dlclose(e.library) != 0) _exit(6);
        usleep(1000);
        _exit(0);
      }
      int status = -1;
      if (waitpid(child, &status, 0) != child || status != 0) return 7;
      if (!multiply(&e)) return 8;
    }
    usleep((useconds_t)t->pause);
    if (dlclose(e.library) != 0) return 9;
    usleep((useconds_t)t->pause);
  }
  return 0;
}

static const attack attacks[] = {
    {"one thread", 1, 5, 0, 0, 0, 0},
    {"four threads", 4, 20, 0, 0, 0, 0},
    {"sleeping workers", 4, 3, 100000, 0, 0, 0},
    {"two threads, 10 ms", 2, 10, 10000, 0, 0, 0},
    {"forks", 4, 5, 0, 1, 0, 0},
    {"second load", 4, 5, 0, 0, 1, 0},
    {"callers' threads", 3, 10, 0, 0, 0, 4},
    {"all of it", 4, 5, 1000, 1, 1, 4},
};

int main(int argc, char **argv) {
  int failed = 0;
  const int count = (int)(sizeof attacks / sizeof attacks[0]);
  if (argc < 2) return 2;
  path = argv[1];
  for (int i = 0; i < SIDE * SIDE; i++) {
    a[i] = 1;
    b[i] = 2;
  }
  for (int i = 0; i < count; i++) {
    int code = 0;
    for (int try = 0; try < 5 && code == 0; try++) {
      fflush(stdout);
      const pid_t child = fork();
      if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        alarm(30);
        exit(host(&attacks[i]));
      }
      int status = -1;
      waitpid(child, &status, 0);
      code = WIFSIGNALED(status) ? 100 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    if (code == 0) continue;
    printf("unload: %s: %s %d\n", attacks[i].name, code > 100 ? "killed by signal" : "exit code",
           code > 100 ? code - 100 : code);
    failed++;
  }
  printf("unload: %d passed, %d failed\n", count - failed, failed);
  return failed != 0;
}
