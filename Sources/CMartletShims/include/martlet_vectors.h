/* Vector operations that Swift 6.3 writes lane by lane.
 *
 * SIMDn's operators on Float are loops over lanes, which the optimiser mostly
 * puts together again; in a long expression (a polynomial of an exponential,
 * say) it gives up, and the code is three to five times slower. Clang's vector
 * types go through as one operation. The functions are inlined into the Swift
 * of an instruction set's target and compiled with its flags; they hold no
 * decision and no loop.
 */
#ifndef MARTLET_VECTORS_H
#define MARTLET_VECTORS_H

#if defined(__clang__)

#define MARTLET_VECTOR static inline __attribute__((always_inline))

/* One rounding where the hardware has the instruction; two where fma would be a
 * call a lane. */
#if defined(__FMA__) || defined(__AVX512F__) || defined(__aarch64__)
#define MARTLET_MULTIPLY_ADD(a, b, c) __builtin_elementwise_fma(a, b, c)
#else
#define MARTLET_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

/* Keeps a value in a register. A choice between a loaded value and zero is else
 * made a load under a mask, which waits for the mask: two cache misses one
 * after the other instead of side by side. */
#if defined(__aarch64__)
#define MARTLET_IN_REGISTER_4(v) __asm__("" : "+w"(v))
#elif defined(__x86_64__)
#define MARTLET_IN_REGISTER_4(v) __asm__("" : "+v"(v))
#else
#define MARTLET_IN_REGISTER_4(v) (void)0
#endif
#ifdef __AVX__
#define MARTLET_IN_REGISTER_8(v) __asm__("" : "+v"(v))
#else
#define MARTLET_IN_REGISTER_8(v) (void)0
#endif
#ifdef __AVX512F__
#define MARTLET_IN_REGISTER_16(v) __asm__("" : "+v"(v))
#else
#define MARTLET_IN_REGISTER_16(v) (void)0
#endif

#define MARTLET_VECTORS_OF(n)                                                                                              \
  typedef float martlet_f32x##n __attribute__((ext_vector_type(n)));                                                       \
  typedef double martlet_f64x##n __attribute__((ext_vector_type(n)));                                                      \
  typedef int martlet_i32x##n __attribute__((ext_vector_type(n)));                                                         \
  MARTLET_VECTOR martlet_f32x##n martlet_f32x##n##_multiply_add(martlet_f32x##n a, martlet_f32x##n b, martlet_f32x##n c) { \
    return MARTLET_MULTIPLY_ADD(a, b, c);                                                                                  \
  }                                                                                                                        \
  MARTLET_VECTOR martlet_f64x##n martlet_f64x##n##_multiply_add(martlet_f64x##n a, martlet_f64x##n b, martlet_f64x##n c) { \
    return MARTLET_MULTIPLY_ADD(a, b, c);                                                                                  \
  }                                                                                                                        \
  MARTLET_VECTOR martlet_f32x##n martlet_f32x##n##_maximum(martlet_f32x##n a, martlet_f32x##n b) {                         \
    return a > b ? a : b;                                                                                                  \
  }                                                                                                                        \
  MARTLET_VECTOR martlet_f32x##n martlet_f32x##n##_minimum(martlet_f32x##n a, martlet_f32x##n b) {                         \
    return a < b ? a : b;                                                                                                  \
  }                                                                                                                        \
  MARTLET_VECTOR martlet_f32x##n martlet_f32x##n##_where_less(martlet_f32x##n a, martlet_f32x##n b, martlet_f32x##n c,     \
                                                              martlet_f32x##n d) {                                         \
    MARTLET_IN_REGISTER_##n(c);                                                                                            \
    return a < b ? c : d;                                                                                                  \
  }                                                                                                                        \
  MARTLET_VECTOR martlet_f32x##n martlet_f32x##n##_where_equal(martlet_f32x##n a, martlet_f32x##n b, martlet_f32x##n c,    \
                                                               martlet_f32x##n d) {                                        \
    return a == b ? c : d;                                                                                                 \
  }                                                                                                                        \
  MARTLET_VECTOR martlet_f32x##n martlet_f32x##n##_square_root(martlet_f32x##n v) {                                        \
    return __builtin_elementwise_sqrt(v);                                                                                  \
  }                                                                                                                        \
  MARTLET_VECTOR martlet_f64x##n martlet_f64x##n##_square_root(martlet_f64x##n v) {                                        \
    return __builtin_elementwise_sqrt(v);                                                                                  \
  }                                                                                                                        \
  MARTLET_VECTOR martlet_f64x##n martlet_f32x##n##_widened(martlet_f32x##n v) {                                            \
    return __builtin_convertvector(v, martlet_f64x##n);                                                                    \
  }                                                                                                                        \
  MARTLET_VECTOR martlet_f32x##n martlet_f64x##n##_narrowed(martlet_f64x##n v) {                                           \
    return __builtin_convertvector(v, martlet_f32x##n);                                                                    \
  }                                                                                                                        \
  MARTLET_VECTOR martlet_f32x##n martlet_i32x##n##_converted(martlet_i32x##n v) {                                          \
    return __builtin_convertvector(v, martlet_f32x##n);                                                                    \
  }                                                                                                                        \
  /* Past the caches; the address is aligned to the vector. */                                                             \
  MARTLET_VECTOR void martlet_f32x##n##_stream(martlet_f32x##n v, float *at) {                                             \
    __builtin_nontemporal_store(v, (martlet_f32x##n *)at);                                                                 \
  }

/* After the last streaming store of a piece of work: another thread may be told of it now. */
MARTLET_VECTOR void martlet_stream_fence(void) {
#if defined(__SSE__)
  __builtin_ia32_sfence();
#else
  __atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

MARTLET_VECTORS_OF(4)
MARTLET_VECTORS_OF(8)
MARTLET_VECTORS_OF(16)

#endif
#endif
