/* The last error message of each thread.
 *
 * Not a thread-local array: the memory of those in a library that was opened late comes from malloc at a thread's first use,
 * and the C library ends the process if there is none. A thread has a pointer instead, and its buffer is taken from a list
 * that threads give back to when they end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "martlet_memory_reserve.h"
#include "martlet_shims.h"

enum { CAPACITY = 2048 };

typedef struct message {
  struct message *next;
  atomic_int is_taken;
  char text[CAPACITY];
} message;

/* Only grows. */
static _Atomic(message *) messages;
static pthread_key_t key;
static int has_key;

/* In the thread's static block: no allocation at the first use. */
#if defined(__linux__)
static _Thread_local message *own __attribute__((tls_model("initial-exec")));
#else
static _Thread_local message *own;
#endif

static void give_back(void *given) {
  own = NULL;
  atomic_store_explicit(&((message *)given)->is_taken, 0, memory_order_release);
}

__attribute__((constructor)) static void make_key(void) {
  has_key = pthread_key_create(&key, give_back) == 0;
}

/* No thread may end in code that has gone. The buffers stay, 2 KB for each thread that had an error: at exit other threads may still
 * be writing to theirs, and nothing tells an exit from dlclose here. */
__attribute__((destructor)) static void end_key(void) {
  if (has_key) pthread_key_delete(key);
}

static message *take(void) {
  for (message *m = atomic_load_explicit(&messages, memory_order_acquire); m != NULL; m = m->next) {
    int free_one = 0;
    if (atomic_compare_exchange_strong(&m->is_taken, &free_one, 1)) return m;
  }
  message *m = malloc(sizeof *m);
  if (m == NULL) return NULL;
  atomic_init(&m->is_taken, 1);
  m->next = atomic_load_explicit(&messages, memory_order_relaxed);
  while (!atomic_compare_exchange_weak(&messages, &m->next, m)) continue;
  return m;
}

char *martlet_shims_message_buffer(void) {
  if (own != NULL) return own->text;
  message *m = take();
  if (m == NULL) return NULL;
  m->text[0] = 0;
  own = m;
  if (has_key) pthread_setspecific(key, m);
  return m->text;
}

size_t martlet_shims_message_capacity(void) {
  return CAPACITY;
}
