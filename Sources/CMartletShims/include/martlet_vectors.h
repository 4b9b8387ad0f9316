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

/* Brings a line near for reading and writing, or does nothing. */
MARTLET_VECTOR void martlet_prefetch(const void *at) { __builtin_prefetch(at, 0, 3); }
/* The same, but not as far as the first-level cache. */
MARTLET_VECTOR void martlet_prefetch_far(const void *at) { __builtin_prefetch(at, 0, 2); }
/* After the last streaming store of a piece of work: another thread may be told of it now. */
MARTLET_VECTOR void martlet_stream_fence(void) {
#if defined(__SSE__)
  __builtin_ia32_sfence();
#else
  __atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

/* Four rows of n columns each of which is contiguous: within each 128 bits a
 * block of 4 by 4 is turned round, so that a row is one store. Where there are
 * fewer columns, the last one stands for those that are missing. */
#define MARTLET_PAIRS_LOW(n, l)   4 * l, n + 4 * l, 4 * l + 1, n + 4 * l + 1
#define MARTLET_PAIRS_HIGH(n, l)  4 * l + 2, n + 4 * l + 2, 4 * l + 3, n + 4 * l + 3
#define MARTLET_HALVES_LOW(n, l)  4 * l, 4 * l + 1, n + 4 * l, n + 4 * l + 1
#define MARTLET_HALVES_HIGH(n, l) 4 * l + 2, 4 * l + 3, n + 4 * l + 2, n + 4 * l + 3
#define MARTLET_BLOCKS_4(of)      of(4, 0)
#define MARTLET_BLOCKS_8(of)      of(8, 0), of(8, 1)
#define MARTLET_BLOCKS_16(of)     of(16, 0), of(16, 1), of(16, 2), of(16, 3)
#define MARTLET_TRANSPOSE_OF(n)                                                                                      \
  MARTLET_VECTOR void martlet_f32x##n##_transpose(const float *columns, long count, long column_stride, float *rows, \
                                                  long row_stride) {                                                 \
    martlet_f32x##n v[4];                                                                                            \
    for (int block = 0; block < n / 4; block++)                                                                      \
      for (int i = 0; i < 4; i++)                                                                                    \
        __builtin_memcpy((float *)&v[i] + 4 * block,                                                                 \
                         columns + (4 * block + i < count ? 4 * block + i : count - 1) * column_stride, 16);         \
    const martlet_f32x##n a = __builtin_shufflevector(v[0], v[1], MARTLET_BLOCKS_##n(MARTLET_PAIRS_LOW));            \
    const martlet_f32x##n b = __builtin_shufflevector(v[0], v[1], MARTLET_BLOCKS_##n(MARTLET_PAIRS_HIGH));           \
    const martlet_f32x##n c = __builtin_shufflevector(v[2], v[3], MARTLET_BLOCKS_##n(MARTLET_PAIRS_LOW));            \
    const martlet_f32x##n d = __builtin_shufflevector(v[2], v[3], MARTLET_BLOCKS_##n(MARTLET_PAIRS_HIGH));           \
    const martlet_f32x##n row0 = __builtin_shufflevector(a, c, MARTLET_BLOCKS_##n(MARTLET_HALVES_LOW));              \
    const martlet_f32x##n row1 = __builtin_shufflevector(a, c, MARTLET_BLOCKS_##n(MARTLET_HALVES_HIGH));             \
    const martlet_f32x##n row2 = __builtin_shufflevector(b, d, MARTLET_BLOCKS_##n(MARTLET_HALVES_LOW));              \
    const martlet_f32x##n row3 = __builtin_shufflevector(b, d, MARTLET_BLOCKS_##n(MARTLET_HALVES_HIGH));             \
    __builtin_memcpy(rows, &row0, sizeof row0);                                                                      \
    __builtin_memcpy(rows + row_stride, &row1, sizeof row1);                                                         \
    __builtin_memcpy(rows + 2 * row_stride, &row2, sizeof row2);                                                     \
    __builtin_memcpy(rows + 3 * row_stride, &row3, sizeof row3);                                                     \
  }

/* Half-precision numbers (not infinity, not NaN) as Float32, exactly: the
 * exponent's bias is made good by a multiplication, which sets small numbers
 * right, too. */
#define MARTLET_HALVES_OF(n)                                                            \
  typedef unsigned short martlet_u16x##n __attribute__((ext_vector_type(n)));           \
  typedef unsigned martlet_u32x##n __attribute__((ext_vector_type(n)));                 \
  MARTLET_VECTOR martlet_f32x##n martlet_f32x##n##_from_halves(const void *halves) {    \
    martlet_u16x##n packed;                                                             \
    __builtin_memcpy(&packed, halves, sizeof packed);                                   \
    const martlet_u32x##n wide = __builtin_convertvector(packed, martlet_u32x##n);      \
    const martlet_f32x##n scaled = (martlet_f32x##n)((wide & 0x7fff) << 13) * 0x1p112f; \
    return (martlet_f32x##n)((martlet_u32x##n)scaled | (wide & 0x8000) << 16);          \
  }

MARTLET_VECTORS_OF(4)
MARTLET_VECTORS_OF(8)
MARTLET_VECTORS_OF(16)
MARTLET_TRANSPOSE_OF(4)
MARTLET_TRANSPOSE_OF(8)
MARTLET_TRANSPOSE_OF(16)
MARTLET_HALVES_OF(4)

typedef float martlet_raw_f32x16 __attribute__((vector_size(64)));
#ifdef __F16C__
typedef short martlet_raw_i16x8 __attribute__((vector_size(16)));
MARTLET_VECTOR martlet_f32x8 martlet_f32x8_from_halves(const void *halves) {
  martlet_raw_i16x8 packed;
  __builtin_memcpy(&packed, halves, sizeof packed);
  return (martlet_f32x8)__builtin_ia32_vcvtph2ps256(packed);
}
#else
MARTLET_HALVES_OF(8)
#endif

#ifdef __AVX512F__
typedef short martlet_raw_i16x16 __attribute__((vector_size(32)));
MARTLET_VECTOR martlet_f32x16 martlet_f32x16_from_halves(const void *halves) {
  martlet_raw_i16x16 packed;
  __builtin_memcpy(&packed, halves, sizeof packed);
  /* All lanes, rounding as it is set: widening does not round. */
  return (martlet_f32x16)__builtin_ia32_vcvtph2ps512_mask(packed, (martlet_raw_f32x16){0}, (unsigned short)-1, 4);
}
#else
MARTLET_HALVES_OF(16)
#endif

/* The first values of a vector, 0 <= count < lanes; memory past them is neither read nor written, and reads as zero. */
#ifdef __AVX512F__
MARTLET_VECTOR martlet_f32x16 martlet_f32x16_load_first(long count, const float *from) {
  return (martlet_f32x16)__builtin_ia32_loadups512_mask(from, (martlet_raw_f32x16){0}, (unsigned short)((1u << count) - 1));
}
MARTLET_VECTOR void martlet_f32x16_store_first(long count, martlet_f32x16 v, float *to) {
  __builtin_ia32_storeups512_mask(to, (martlet_raw_f32x16)v, (unsigned short)((1u << count) - 1));
}
#endif
#ifdef __AVX__
typedef float martlet_raw_f32x8 __attribute__((vector_size(32)));
typedef int martlet_raw_i32x8 __attribute__((vector_size(32)));
MARTLET_VECTOR martlet_raw_i32x8 martlet_first_lanes(long count) {
  return (martlet_raw_i32x8){0, 1, 2, 3, 4, 5, 6, 7} < (int)count;
}
MARTLET_VECTOR martlet_f32x8 martlet_f32x8_load_first(long count, const float *from) {
  return (martlet_f32x8)__builtin_ia32_maskloadps256((const martlet_raw_f32x8 *)from, martlet_first_lanes(count));
}
MARTLET_VECTOR void martlet_f32x8_store_first(long count, martlet_f32x8 v, float *to) {
  __builtin_ia32_maskstoreps256((martlet_raw_f32x8 *)to, martlet_first_lanes(count), (martlet_raw_f32x8)v);
}
#endif

#endif
#endif
